// Security events are kept in every storage that is on: here in MongoDB and, by the fleet's own forwarder, in files of this machine.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '@biz/testing';
import { expect, it } from 'vitest';
import { type Answer, as, send } from './client.ts';
import { localDir } from './fleet.ts';

const files = async () => {
  const folder = join(localDir(), 'security');
  const names = await readdir(folder).catch(() => []);
  return (await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))).join('');
};

it('a refusal is listed, exported, and stands in the files, sealed', async () => {
  const refused = await as('user-a').get('/v1/audit/records');
  expect(refused.status).toBe(403);
  const trace = refused.headers.get('x-trace-id');
  const list = async () =>
    (await as('auditor-a').get('/v1/security/events?event_type=ACCESS_DENIED_NO_ROLE&page_size=200')).body.items as Answer['body'][];
  const event = await until(async () => (await list()).find(({ trace_id }) => trace_id === trace), {
    what: 'the event',
    timeoutMs: 60_000,
  });
  expect(event).toMatchObject({ severity: 'WARNING', success: false, error_message: 'no_role', ip_address: expect.stringMatching(/./) });

  const exported = await as('auditor-a').get('/v1/security/events/export?event_type=ACCESS_DENIED_NO_ROLE');
  expect(exported.headers.get('content-type')).toMatch(/ndjson/);
  const lines = exported.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.find(({ event_id }) => event_id === event.event_id)).toEqual(event);

  // whole lines: what comes after the last break may be half written
  const written = async () => (await files()).split('\n').slice(0, -1);
  const line = await until(async () => (await written()).find((one) => one.includes(event.event_id)), {
    what: 'the line in the file',
    timeoutMs: 60_000,
  });
  expect(JSON.parse(line)).toMatchObject({ event_id: event.event_id, ip: expect.stringMatching(/^s1\./), anonymized: false });
  expect(line).not.toContain(`"${event.ip_address}"`);
});

it('people of the platform see how the storages do', async () => {
  const { status, body } = await as('platform').get('/v1/security/storages');
  expect([status, body.items]).toEqual([
    200,
    [
      { name: 'mongodb', status: 'ok', queried: true, waiting: 0, failing_since: null, last_error: null },
      { name: 'file', status: 'ok', queried: false, waiting: expect.any(Number), failing_since: null, last_error: null },
    ],
  ]);
  expect((await as('auditor-a').get('/v1/security/storages')).body.items).toEqual([]);
  expect((await as('manager-a').get('/v1/security/storages')).status).toBe(403);
  expect((await send('GET', '/v1/security/storages')).status).toBe(401);
});
