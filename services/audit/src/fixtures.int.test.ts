import { readFileSync } from 'node:fs';
import { canonicalJson, type JsonObject, parseJson } from '@biz/json';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditHarness, auditHarness, contextOf, type Place } from './testing/harness.ts';

interface Case {
  case: string;
  raw_base64?: string;
  envelope?: object;
  expect: { outcome: 'recorded' | 'duplicate' | 'dead_letter'; code?: string } & Record<string, unknown>;
}

const lines = readFileSync(new URL('../../../libs/envelope/fixtures/envelopes.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n');
const cases = lines.map((line) => JSON.parse(line) as Case);
const bytes = lines.map((line, index) => {
  const raw = cases[index]?.raw_base64;
  return raw === undefined ? Buffer.from(JSON.stringify((parseJson(line) as JsonObject).envelope)) : Buffer.from(raw, 'base64');
});

let audit: AuditHarness;
let call: ReturnType<AuditHarness['client']>;
let places: Place[];
const platform = contextOf(['auditor', 'dpo'], ['*']);

beforeAll(async () => {
  audit = await auditHarness();
  places = await audit.send(bytes.map((value) => ({ value })));
  const service = await audit.start();
  call = audit.client(service.address);
  await until(async () => (await audit.collections.logs.findOne({ _id: `${audit.topic}-0` }))?.next_offset === bytes.length, {
    what: 'the log',
    timeoutMs: 30_000,
  });
});
afterAll(() => audit[Symbol.asyncDispose]());

describe.each(cases.map((one, index) => ({ ...one, index })))('$case', (one) => {
  const { outcome, code, is_active: _, ...expected } = one.expect;

  it(`is ${outcome} ${code ?? ''}`, async () => {
    const offset = places[one.index]?.offset ?? -1;
    const record = await audit.collections.events.findOne({ offset });
    const letter = await audit.collections.deadLetters.findOne({ topic: audit.topic, partition: 0, offset });
    expect([record !== null, letter?.code]).toEqual([outcome === 'recorded', code]);
    if (record !== null) {
      const answer = await call<{ payload: string }>('GetRecord', { record_id: record._id }, platform);
      expect(answer).toMatchObject({ ...expected, ...('entity_id' in expected ? {} : { entity_id: record.event_id }) });
      const sent = parseJson(bytes[one.index]?.toString() ?? '') as { payload: JsonObject };
      expect(canonicalJson(parseJson(answer.payload))).toBe(canonicalJson(sent.payload));
    }
    if (letter !== null) {
      const { items } = await call<{ items: { offset: number; raw_base64: string }[] }>('ListDeadLetters', { page_size: 200 }, platform);
      expect(items.find((item) => item.offset === offset)?.raw_base64).toBe(bytes[one.index]?.toString('base64'));
    }
  });
});

it('is_active is only that of newest versions', async () => {
  const newest = cases.filter(({ expect: { outcome, is_active } }) => outcome === 'recorded' && is_active === false).length;
  expect(await audit.collections.events.countDocuments({ entity_id: 'c-1', is_active: true })).toBe(0);
  expect(await audit.collections.events.countDocuments({ entity_id: 'g-1', is_active: false })).toBe(1);
  expect(newest).toBe(2);
});

it('every dead letter is on the topic too, with raw bytes and reason', async () => {
  const consumer = audit.plain.consumer({ groupId: `${audit.name}-dlq` });
  await consumer.connect();
  await consumer.subscribe({ topic: audit.dlq, fromBeginning: true });
  const found = new Map<number, { code: string; value: Buffer | null }>();
  await consumer.run({
    eachMessage: async ({ message: { headers, value } }) => {
      found.set(Number(headers?.offset), { code: String(headers?.code), value });
    },
  });
  const expected = cases.flatMap(({ expect: { outcome, code } }, index) => (outcome === 'dead_letter' ? [{ index, code }] : []));
  await until(() => found.size === expected.length, { what: 'the letters' });
  await consumer.disconnect();
  for (const { index, code } of expected) {
    expect(found.get(places[index]?.offset ?? -1)).toEqual({ code, value: bytes[index] });
  }
});
