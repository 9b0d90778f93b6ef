import { randomUUID } from 'node:crypto';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog, type RunningService } from '@biz/service';
import { until } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readServiceConfig } from './config.ts';
import { startNotification } from './service.ts';
import { type TestFleet, testFleet } from './test-fleet.ts';
import { type TestMailServer, testMailServer } from './test-mail-server.ts';

const company_id = randomUUID();
const quiet = randomUUID();
let fleet: TestFleet;
let mail: TestMailServer;
let service: RunningService;
let folder: string;
let file: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'biz-flags-'));
  file = join(folder, 'flags.json');
  await turn('off');
  [fleet, mail] = await Promise.all([testFleet(), testMailServer()]);
  service = await start();
});

afterAll(async () => {
  for (const part of [service, mail, fleet]) await part?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function start(over: Record<string, string> = {}): Promise<RunningService> {
  const flags = { FLAGS_FILE: file, FLAGS_RELOAD_SECONDS: '0.01' };
  return startNotification(
    readServiceConfig({ ...fleet.environment, ...flags, SMTP_URL: mail.url, ...over }),
    createLog('notification', 'silent'),
  );
}

async function turn(defaultVariant: 'on' | 'off', targeting?: object): Promise<void> {
  const flag = { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant, ...(targeting && { targeting }) };
  await writeFile(`${file}.new`, JSON.stringify({ flags: { 'notification.welcome_email': flag } }));
  await rename(`${file}.new`, file);
}

const to = (address: string) => mail.received.filter((received) => received.to?.value[0]?.address === address);
const decided = (event: { headers: Record<string, string> }) =>
  fleet.database.db.collection<{ _id: string; welcomed: boolean }>('welcome_decisions').findOne({ _id: String(event.headers.event_id) });
/** The topic read to its end, and nothing left to send. */
const idle = () =>
  until(
    async () => {
      const lag = await fleet.bus.lag(fleet.topic, fleet.topic);
      const waiting = await fleet.database.db.collection('current').countDocuments({ status: 'queued' });
      return waiting === 0 && lag.every((partition) => partition.lag === 0n);
    },
    { what: 'the topic to be read', timeoutMs: 30_000 },
  );
/** New users of a company until one of them is decided as wanted: the file was read by then. */
async function untilDecided(welcomed: boolean, company = company_id): Promise<void> {
  await until(
    async () => {
      const event = await fleet.userCreated({ company_id: company, email: `${randomUUID()}@example.com` });
      await fleet.publish(event);
      await idle();
      return (await decided(event))?.welcomed === welcomed;
    },
    { what: `new users to be ${welcomed ? '' : 'not '}welcomed`, timeoutMs: 30_000 },
  );
}

it('turned off, a new user gets no mail, not even when it is turned on and the event comes again', async () => {
  const event = await fleet.userCreated({ company_id, email: 'silent@example.com' });
  await fleet.publish(event);
  await idle();
  expect(await decided(event)).toMatchObject({
    ...{ welcomed: false, flag: 'notification.welcome_email', variant: 'off', reason: 'STATIC', company_id },
  });
  await turn('on');
  await untilDecided(true);
  // as after a crash before the offset was committed
  await fleet.publish(event);
  await fleet.publish(await fleet.userCreated({ company_id, email: 'later@example.com' }));
  await idle();
  expect(to('later@example.com')).toHaveLength(1);
  expect(to('silent@example.com')).toEqual([]);
  expect(await fleet.database.db.collection('events').countDocuments({ 'meta.ownership_id': event.key })).toBe(0);
});

it('turned off for one company, the others’ users are welcomed', async () => {
  await turn('on', { if: [{ '===': [{ var: 'company_id' }, quiet] }, 'off', null] });
  await untilDecided(false, quiet);
  await fleet.publish(
    await fleet.userCreated({ company_id: quiet, email: 'quiet@example.com' }),
    await fleet.userCreated({ company_id, email: 'loud@example.com' }),
  );
  await idle();
  expect(to('loud@example.com')).toHaveLength(1);
  expect(to('quiet@example.com')).toEqual([]);
});

it('what was decided holds for another process, too, and one without flags welcomes', async () => {
  await turn('off');
  await untilDecided(false);
  const event = await fleet.userCreated({ company_id, email: 'before@example.com' });
  await fleet.publish(event);
  await idle();
  await service[Symbol.asyncDispose]();
  service = await start({ FLAGS_FILE: '' });
  await fleet.publish(event, await fleet.userCreated({ company_id, email: 'default@example.com' }));
  await idle();
  expect(to('default@example.com')).toHaveLength(1);
  expect(to('before@example.com')).toEqual([]);
});
