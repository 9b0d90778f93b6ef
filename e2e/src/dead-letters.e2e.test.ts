// A message that nobody can read: found, looked at and put right by people of the platform, over HTTPS and by command.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from '@biz/testing';
import { Kafka, logLevel, type Producer } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, as } from './client.ts';
import { currentRun, localDir } from './fleet.ts';

let producer: Producer;
let folder: string;

beforeAll(async () => {
  const kafka = new Kafka({ brokers: currentRun().kafka_brokers.split(','), clientId: 'somebody-else', logLevel: logLevel.NOTHING });
  producer = kafka.producer();
  await producer.connect();
  folder = await mkdtemp(join(tmpdir(), 'biz-letters-'));
});
afterAll(async () => {
  await producer.disconnect();
  await rm(folder, { recursive: true, force: true });
});

/** An envelope without an owner, and what makes it whole; its number has more digits than a double. */
function envelopes(): { id: string; broken: string; whole: string } {
  const id = randomUUID();
  const whole = `{"producer_service":"loyalty_service","producer_service_id":"p-1","trace_id":"${randomUUID()}",
    "timestamp":"${new Date().toISOString()}","event_type":"card.created","payload":{"id":"${id}","points":9007199254740993123},
    "metadata":{"event_schema_version":"1.0","owner_id":"u-7","owner_ip":"203.0.113.7","owner_role":"manager","owner_type":"user",
    "ownership_id":"own-${id}"}}`;
  return { id, whole, broken: whole.replace('"owner_id":"u-7",', '') };
}

async function letterOf(value: string): Promise<Answer['body']> {
  const [sent] = await producer.send({ topic: 'audit', messages: [{ key: randomUUID(), value }] });
  return until(
    async () => {
      const { body } = await as('platform').get('/v1/audit/dead-letters?code=invalid_envelope&status=open&page_size=200');
      return body.items.find(
        (item: Answer['body']) => item.partition === sent?.partition && String(item.offset) === sent?.baseOffset && item.topic === 'audit',
      );
    },
    { what: 'the dead letter', timeoutMs: 90_000 },
  );
}

const recordOf = (id: string): Promise<Answer['body']> =>
  until(async () => (await as('platform').get(`/v1/audit/entities/card/${id}/history`)).body.items?.[0], {
    what: 'the record',
    timeoutMs: 90_000,
  });

/** The command as a person runs it, against the fleet under test. */
async function command(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const root = join(import.meta.dirname, '..', '..');
  const argv = [join(root, 'infra', 'local', 'bootstrap.mjs'), 'dead-letters', ...args];
  const env = { ...process.env, BIZ_LOCAL_DIR: localDir() };
  return promisify(execFile)(process.execPath, argv, { env, cwd: root }).then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({ code: error.code, out: error.stdout, err: error.stderr }),
  );
}

describe('a dead letter', () => {
  it('is seen by people of the platform only', async () => {
    const { broken } = envelopes();
    const letter = await letterOf(broken);
    const path = `/v1/audit/dead-letters/${letter.id}`;
    const seen = await as('platform').get(path);
    expect(seen.body).toMatchObject({ code: 'invalid_envelope', status: 'open', raw_base64: Buffer.from(broken).toString('base64') });
    expect(seen.body.errors).toEqual([{ path: '/metadata/owner_id', message: 'is required' }]);
    for (const who of ['dpo-a', 'auditor-a', 'admin-b']) {
      const foreign = await as(who).get(path);
      expect([who, foreign.status, foreign.body.code]).toEqual([who, 404, 'not_found']);
      expect((await as(who).get('/v1/audit/dead-letters')).body.items).toEqual([]);
    }
    expect((await as('dpo-a').post(`${path}/replay`, {})).status).toBe(404);
    expect((await as('user-none').get(path)).status).toBe(403);
  });

  it('becomes a record once it is corrected, digit for digit, and that is recorded too', async () => {
    const { id, broken, whole } = envelopes();
    const letter = await letterOf(broken);
    const path = `/v1/audit/dead-letters/${letter.id}/replay`;
    const refused = await as('platform').post(path, {});
    expect([refused.status, refused.body.errors]).toEqual([400, [{ path: '/metadata/owner_id', message: 'is required' }]]);
    const wrong = await as('platform').send('POST', path, { raw: `{"envelope":${broken}}` });
    expect([wrong.status, wrong.body.errors.map((fault: Answer['body']) => fault.path)]).toEqual([400, ['/envelope/metadata/owner_id']]);
    const replayed = await as('platform').send('POST', path, { raw: `{"envelope":${whole}}` });
    expect([replayed.status, replayed.body.status, replayed.body.raw_base64]).toEqual([200, 'replayed', letter.raw_base64]);
    const record = await recordOf(id);
    expect(record.event_id).toBe(replayed.body.replayed_event_id);
    const text = (await as('platform').get(`/v1/audit/records/${record.record_id}`)).text;
    expect(text).toContain('9007199254740993123');
    const again = await as('platform').send('POST', path, { raw: `{"envelope":${whole}}` });
    expect([again.status, again.body.replayed_event_id]).toEqual([200, record.event_id]);
    const told = await until(
      async () =>
        (await as('platform').get(`/v1/audit/entities/dead_letter/${letter.id}/history`)).body.items as Answer['body'][] | undefined,
      { what: 'the record of the replay', timeoutMs: 90_000 },
    );
    expect(told.map(({ event_type, owner_role, payload }) => [event_type, owner_role, payload.event_id])).toEqual([
      ['dead_letter.replayed', 'dpo', record.event_id],
    ]);
  });

  it('is found, shown and replayed by command', async () => {
    const { id, broken, whole } = envelopes();
    const letter = await letterOf(broken);
    const listed = await command('list', '--status', 'open');
    expect([listed.code, listed.out]).toEqual([0, expect.stringContaining(letter.id)]);
    expect((await command('show', letter.id)).out).toContain(`"points":9007199254740993123`);
    expect((await command('show', letter.id, '--raw')).out).toBe(broken);
    const asItIs = await command('replay', letter.id);
    expect([asItIs.code, asItIs.err]).toEqual([1, expect.stringContaining('/metadata/owner_id')]);
    const file = join(folder, 'corrected.json');
    await writeFile(file, whole);
    const replayed = await command('replay', letter.id, '--file', file);
    expect([replayed.code, replayed.err]).toEqual([0, '']);
    expect(replayed.out).toContain((await recordOf(id)).event_id);
    expect((await command('list', '--status', 'open')).out).not.toContain(letter.id);
    const unknown = await command('show', 'audit-9.000000000001.0');
    expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('404 not_found')]);
    expect((await command('eat', letter.id)).err).toContain('usage:');
  });
});
