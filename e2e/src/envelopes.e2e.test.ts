// Producers that we did not write: every case of the fixtures, published by a plain Kafka client, ends as the case says.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { until } from '@biz/testing';
import { Kafka, logLevel, type Producer } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { as } from './client.ts';
import { currentRun } from './fleet.ts';

type Case = {
  readonly case: string;
  readonly envelope?: { payload: { id?: unknown }; metadata: Record<string, unknown> };
  readonly raw_base64?: string;
  readonly expect: { readonly outcome: 'recorded' | 'duplicate' | 'dead_letter'; readonly code?: string } & Record<string, unknown>;
};

const cases: Case[] = readFileSync(`${import.meta.dirname}/../../libs/envelope/fixtures/envelopes.jsonl`, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line));
/** One key, so one partition: the cases build on one another. */
const key = randomUUID();
let producer: Producer;
const offsets: { partition: number; offset: string }[] = [];

beforeAll(async () => {
  const kafka = new Kafka({ brokers: currentRun().kafka_brokers.split(','), clientId: 'somebody-else', logLevel: logLevel.NOTHING });
  producer = kafka.producer();
  await producer.connect();
  const lines = readFileSync(`${import.meta.dirname}/../../libs/envelope/fixtures/envelopes.jsonl`, 'utf8')
    .trim()
    .split('\n');
  for (const [index, one] of cases.entries()) {
    const value = one.raw_base64 ? Buffer.from(one.raw_base64, 'base64') : Buffer.from(envelopeText(lines[index] ?? ''));
    const [sent] = await producer.send({ topic: 'audit', messages: [{ key, value }] });
    offsets.push({ partition: sent?.partition ?? -1, offset: sent?.baseOffset ?? '' });
  }
});

afterAll(() => producer.disconnect());

/** The envelope's own text, digits and all: JSON.parse would lose some. */
function envelopeText(line: string): string {
  const start = line.indexOf('"envelope": ') + '"envelope": '.length;
  let depth = 0;
  let inString = false;
  for (let at = start; at < line.length; at += 1) {
    const character = line[at];
    if (inString) {
      if (character === '\\') at += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === '{') depth += 1;
    else if (character === '}') {
      depth -= 1;
      if (depth === 0) return line.slice(start, at + 1);
    }
  }
  throw new Error('no envelope in the line');
}

async function deadLetterAt(place: { partition: number; offset: string }) {
  let token = '';
  do {
    const page = await as('platform').get(`/v1/audit/dead-letters?page_size=200${token && `&page_token=${encodeURIComponent(token)}`}`);
    const found = page.body.items.find(
      (item: { topic: string; partition: number; offset: unknown }) =>
        item.topic === 'audit' && item.partition === place.partition && String(item.offset) === place.offset,
    );
    if (found) return found;
    token = page.body.next_page_token;
  } while (token);
  return undefined;
}

describe.each(cases.map((one, index) => ({ ...one, index })))('$case', (one) => {
  const expected = one.expect;
  it(`is ${expected.outcome}${expected.code ? ` as ${expected.code}` : ''}`, async () => {
    const place = offsets[one.index];
    if (!place) throw new Error('not sent');
    if (expected.outcome === 'dead_letter') {
      await until(async () => (await deadLetterAt(place)) !== undefined, { timeoutMs: 90_000, what: 'the dead letter' });
      const letter = await deadLetterAt(place);
      expect(letter.code).toBe(expected.code);
      if (one.raw_base64) expect(letter.raw_base64).toBe(one.raw_base64);
      return;
    }
    if (expected.outcome === 'duplicate') {
      await until(async () => (await recordsOf('entity_type=badge&entity_id=g-1')).length > 0, { timeoutMs: 90_000, what: 'a later case' });
      expect((await recordsOf('entity_type=card&entity_id=c-1')).filter((record) => record.event_type === 'card.blocked')).toHaveLength(1);
      return;
    }
    const { outcome: _, code: __, is_active: ___, ...fields } = expected;
    const id = expected.entity_id ? `&entity_id=${encodeURIComponent(String(expected.entity_id))}` : '';
    const found = async () => (await recordsOf(`entity_type=${entityTypeOf(one)}${id}`)).some((record) => matches(record, fields));
    await until(found, { timeoutMs: 90_000, what: `a record with ${JSON.stringify(fields)}` });
  });
});

async function recordsOf(query: string): Promise<Record<string, unknown>[]> {
  return (await as('platform').get(`/v1/audit/records?${query}&order=asc&page_size=200`)).body.items;
}

function entityTypeOf(one: Case): string {
  return String(one.expect.entity_type ?? (one.envelope as unknown as { event_type: string }).event_type.replace(/\.[^.]*$/, ''));
}

function matches(record: Record<string, unknown>, fields: Record<string, unknown>): boolean {
  return Object.entries(fields).every(([name, value]) => record[name] === value);
}

describe('what a producer’s payload holds', () => {
  it('comes back digit for digit to those who may open it, sealed to the others', async () => {
    const query = '/v1/audit/records?entity_type=invoice&entity_id=9007199254740993';
    const opened = await as('platform').get(query);
    expect(opened.text).toContain('"id":9007199254740993');
    const notes = await as('platform').get('/v1/audit/records?entity_type=note&entity_id=n-1');
    expect(notes.body.items[0].payload).toEqual({ id: 'n-1', $where: 'sleep(1000)', 'a.b': { $gt: '' }, '': 1 });
    expect((await as('dpo-a').get(query)).body.items).toEqual([]);
  });

  it('is_active is true only on the newest version of a living entity', async () => {
    const card = (await as('platform').get('/v1/audit/entities/card/c-1/history')).body.items;
    expect(card.map((record: { version: number; is_active: boolean }) => [record.version, record.is_active])).toEqual([
      [1, false],
      [2, false],
      [3, false],
    ]);
  });
});
