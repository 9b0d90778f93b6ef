// A flag of the fleet's file is turned while it runs: the welcome mail, for one company.
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '@biz/testing';
import { MongoClient } from 'mongodb';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { as, auditHistory, unique } from './client.ts';
import { currentRun, localDir } from './fleet.ts';

// Many waits, one after the other.
vi.setConfig({ testTimeout: 900_000 });

interface FlagFile {
  flags: Record<string, { targeting?: object }>;
}

const key = 'notification.welcome_email';
const file = () => join(localDir(), 'flags.json');
let before: string;
let mongo: MongoClient;

beforeAll(async () => {
  before = await readFile(file(), 'utf8');
  mongo = await new MongoClient(currentRun().mongodb_url).connect();
});
afterAll(async () => {
  await mongo?.close();
  await write(before);
});

async function write(text: string): Promise<void> {
  await writeFile(`${file()}.new`, text);
  await rename(`${file()}.new`, file());
}

/** As a person would edit it: one rule more. */
async function offFor(company: string): Promise<void> {
  const given = JSON.parse(before) as FlagFile;
  const flag = given.flags[key] ?? expect.unreachable(`${key} is not in ${file()}`);
  flag.targeting = { if: [{ '===': [{ var: 'company_id' }, company] }, 'off', 'on'] };
  await write(JSON.stringify(given));
}

async function mailed(address: string): Promise<boolean> {
  const answer = await fetch(`${currentRun().mail_url}/email`);
  const mails = (await answer.json()) as { to: { address: string }[] }[];
  return mails.some((mail) => mail.to.some((to) => to.address === address));
}

/** Creates a user in the name of a company's administrator; gives its id and address. */
async function newUser(admin: 'admin-a' | 'admin-b'): Promise<{ id: string; email: string; company_id: string }> {
  const username = unique('bandeira');
  const email = `${username}@example.com`;
  const created = await as(admin).post('/v1/users', { username, email, name: 'Pessoa Nova' });
  expect(created.status, created.text).toBe(201);
  return { id: created.body.id, email, company_id: created.body.company_id };
}

const arrives = (email: string) => until(() => mailed(email), { timeoutMs: 180_000, intervalMs: 200, what: `the welcome of ${email}` });

const decisions = () =>
  mongo.db(currentRun().services.notification?.database).collection<{ _id: string; welcomed: boolean }>('welcome_decisions');

/** How many users of a company the service has decided about in this way. */
const decided = (company_id: string, welcomed: boolean) => decisions().countDocuments({ company_id, welcomed });

/** Creates users of a company until one is decided about in this way: the service has read the file. */
async function untilDecided(company_id: string, welcomed: boolean): Promise<void> {
  const sofar = await decided(company_id, welcomed);
  const more = async () => (await newUser('admin-a')) && (await decided(company_id, welcomed)) > sofar;
  await until(more, { timeoutMs: 120_000, intervalMs: 500, what: `a user of whom ${welcomed} is decided` });
}

it('turned off for one company, its new users get no welcome and the other’s do; turned on again, they do', async () => {
  const first = await newUser('admin-a');
  await arrives(first.email);
  await offFor(first.company_id);
  await untilDecided(first.company_id, false);
  const silent = await newUser('admin-a');
  const other = await newUser('admin-b');
  await arrives(other.email);
  const [{ event_id }] = await auditHistory('user', silent.id, 1);
  await until(() => decisions().findOne({ _id: event_id, welcomed: false }), { what: 'the decision', timeoutMs: 180_000 });
  await write(before);
  await untilDecided(first.company_id, true);
  const last = await newUser('admin-a');
  await arrives(last.email);
  expect(await mailed(silent.email)).toBe(false);
});
