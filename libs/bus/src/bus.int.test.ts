import { engines, uniqueName, until } from '@biz/testing';
import kafkajs from 'kafkajs';
import { afterAll, describe, expect, it } from 'vitest';
import { registerCodecs, registerUnusable } from './codecs.ts';
import { type Batch, type BusLog, type ConsumerOptions, createBus, type InMessage } from './index.ts';

const silent: BusLog = { debug() {}, info() {}, warn() {}, error() {} };
const brokers = engines().kafkaBrokers;
const bus = createBus({ brokers, clientId: 'bus-test', log: silent });
const producer = bus.producer();
const plain = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING });

afterAll(() => bus[Symbol.asyncDispose]());

async function newTopic(partitions = 1): Promise<string> {
  const topic = uniqueName('bus');
  await bus.ensureTopics([{ topic, partitions }]);
  return topic;
}

function consume(topic: string, batch: (batch: Batch) => Promise<void>, more: Partial<ConsumerOptions> = {}) {
  return bus.consumer({
    groupId: `${topic}-group`,
    topics: [topic],
    batch,
    onFatal: (error) => {
      throw error;
    },
    ...more,
  });
}

const texts = (messages: readonly InMessage[]) => messages.map(({ value }) => String(value));
const numbered = (count: number) => Array.from({ length: count }, (_, index) => ({ key: 'k', value: `m${index}` }));
const lagOf = async (topic: string) => (await bus.lag(`${topic}-group`, topic)).reduce((sum, { lag }) => sum + Number(lag), 0);

describe('a message', () => {
  it('comes as it was sent: bytes, key, headers, order of a key', async () => {
    const topic = await newTopic(3);
    const seen: InMessage[] = [];
    await using _ = consume(topic, async ({ messages }) => {
      seen.push(...messages);
    });
    await producer.send(topic, [{ key: 'a', value: Buffer.from([0xff, 0]), headers: { traceparent: '00-1', raw: Buffer.from([1]) } }]);
    await producer.send(topic, [
      { key: 'a', value: null },
      { key: 'a', value: 'third' },
    ]);
    await until(() => seen.length === 3, { what: 'three messages' });
    expect(seen[0]).toMatchObject({
      key: Buffer.from('a'),
      value: Buffer.from([0xff, 0]),
      headers: { traceparent: Buffer.from('00-1'), raw: Buffer.from([1]) },
    });
    expect(seen.map(({ offset, value }) => [offset, value && String(value)])).toEqual([
      ['0', '\ufffd\u0000'],
      ['1', null],
      ['2', 'third'],
    ]);
  });

  it('waits for a consumer, which starts where the topic starts', async () => {
    const topic = await newTopic();
    await producer.send(topic, numbered(3));
    const seen: string[] = [];
    await using _ = consume(topic, async ({ messages }) => {
      seen.push(...texts(messages));
    });
    await until(() => seen.length === 3, { what: 'what was there before' });
  });
});

describe('an offset', () => {
  it('is committed after the handler resolved, and not before', async () => {
    const topic = await newTopic();
    const gate = Promise.withResolvers<void>();
    let waiting = false;
    await using _ = consume(topic, async () => {
      waiting = true;
      await gate.promise;
    });
    await producer.send(topic, numbered(5));
    await until(() => waiting, { what: 'the batch' });
    expect(await lagOf(topic)).toBe(5);
    gate.resolve();
    await until(async () => (await lagOf(topic)) === 0, { what: 'the commit' });
  });

  it('stays when the handler fails: the same messages come again, none is skipped', async () => {
    const topic = await newTopic();
    const batches: string[][] = [];
    await using _ = consume(
      topic,
      async ({ messages }) => {
        batches.push(texts(messages));
        if (batches.length < 4) {
          throw new Error('the store is away');
        }
      },
      { maxBatchRecords: 2 },
    );
    await producer.send(topic, numbered(5));
    await until(async () => (await lagOf(topic)) === 0 && batches.length >= 6, { what: 'all batches' });
    expect(batches.slice(0, 4)).toEqual([
      ['m0', 'm1'],
      ['m0', 'm1'],
      ['m0', 'm1'],
      ['m0', 'm1'],
    ]);
    expect(batches.slice(4).flat()).toEqual(['m2', 'm3', 'm4']);
  });

  it('is where the next consumer goes on, also when the first stopped in the middle', async () => {
    const topic = await newTopic();
    await producer.send(topic, numbered(6));
    const first: string[] = [];
    const stuck = Promise.withResolvers<void>();
    const consumer = consume(
      topic,
      async ({ messages, signal }) => {
        if (first.length === 2) {
          stuck.resolve();
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        }
        first.push(...texts(messages));
      },
      { maxBatchRecords: 2 },
    );
    await stuck.promise;
    await consumer[Symbol.asyncDispose]();
    const second: string[] = [];
    await using _ = consume(topic, async ({ messages }) => {
      second.push(...texts(messages));
    });
    await until(() => second.length >= 4, { what: 'the rest' });
    expect([first, second]).toEqual([
      ['m0', 'm1'],
      ['m2', 'm3', 'm4', 'm5'],
    ]);
  });
});

describe('a group', () => {
  it('shares the partitions, and nothing is lost when a member comes and goes', async () => {
    const topic = await newTopic(4);
    const seen = new Set<string>();
    const handler = async ({ messages }: Batch) => {
      for (const text of texts(messages)) {
        seen.add(text);
      }
    };
    await using first = consume(topic, handler, { sessionTimeoutMs: 6_000 });
    await until(() => first.joined, { what: 'the first member' });
    const send = (from: number) =>
      producer.send(
        topic,
        Array.from({ length: 100 }, (_, index) => ({ key: `k${index}`, value: `${from + index}` })),
      );
    await send(0);
    const second = consume(topic, handler, { sessionTimeoutMs: 6_000 });
    await send(100);
    await until(() => second.joined, { what: 'the second member' });
    await send(200);
    await second[Symbol.asyncDispose]();
    await send(300);
    await until(() => seen.size === 400, { what: 'all 400' });
    await until(async () => (await lagOf(topic)) === 0, { what: 'the commits' });
  });

  it('never works on two batches of one partition at once', async () => {
    const topic = await newTopic(2);
    const active = new Map<number, number>();
    let together = 0;
    let most = 0;
    let count = 0;
    await using _ = consume(
      topic,
      async ({ partition, messages }) => {
        active.set(partition, (active.get(partition) ?? 0) + 1);
        most = Math.max(most, active.get(partition) ?? 0);
        together = Math.max(
          together,
          [...active.values()].reduce((a, b) => a + b, 0),
        );
        await new Promise((resolve) => setImmediate(resolve));
        active.set(partition, (active.get(partition) ?? 0) - 1);
        count += messages.length;
      },
      { concurrency: 2, maxBatchRecords: 3 },
    );
    await producer.send(
      topic,
      Array.from({ length: 200 }, (_, index) => ({ key: null, value: 'x', partition: index % 2 })),
    );
    await until(() => count >= 200, { what: '200 messages' });
    expect(most).toBe(1);
    expect(together).toBeGreaterThan(0);
  });
});

describe('a compressed batch', () => {
  const sender = plain.producer();
  afterAll(() => sender.disconnect());

  it.each([
    [1, 'gzip'],
    [2, 'snappy'],
    [3, 'lz4'],
    [4, 'zstd'],
  ])('of codec %i (%s) is read', async (compression) => {
    registerCodecs();
    const topic = await newTopic();
    await sender.connect();
    const value = 'çã '.repeat(2_000);
    await sender.send({ topic, compression, messages: [{ value }, { value: 'two', headers: { a: 'b' } }] });
    const seen: InMessage[] = [];
    await using _ = consume(topic, async ({ messages }) => {
      seen.push(...messages);
    });
    await until(() => seen.length === 2, { what: 'two messages' });
    expect(texts(seen)).toEqual([value, 'two']);
    expect(seen[1]?.codecFault).toBeUndefined();
  });

  it('in a codec that nobody registered becomes marked messages, and the partition goes on', async () => {
    const topic = await newTopic();
    await sender.connect();
    await sender.send({ topic, messages: [{ value: 'before' }] });
    await sender.send({ topic, compression: 4, messages: [{ value: 'one' }, { value: 'two' }, { value: 'three' }] });
    await sender.send({ topic, messages: [{ value: 'after' }] });
    registerUnusable(4);
    const seen: InMessage[] = [];
    await using _ = consume(topic, async ({ messages }) => {
      seen.push(...messages);
    });
    await until(() => seen.length === 5, { what: 'five messages' });
    registerCodecs();
    expect(seen.map(({ offset, codecFault }) => [offset, codecFault])).toEqual([
      ['0', undefined],
      ['1', 'codec 4: no codec is registered'],
      ['2', 'codec 4: no codec is registered'],
      ['3', 'codec 4: no codec is registered'],
      ['4', undefined],
    ]);
    expect(seen[1]?.value?.length).toBeGreaterThan(10);
    expect(seen[2]?.value).toBeNull();
  });
});

describe('brokers that are away', () => {
  it('fail a send, and do not end a consumer', async () => {
    const warnings: string[] = [];
    const away = createBus({
      brokers: ['127.0.0.1:1'],
      clientId: 'away',
      log: { ...silent, warn: (_, message) => warnings.push(message) },
    });
    const fatal: Error[] = [];
    const consumer = away.consumer({ groupId: 'g', topics: ['t'], batch: async () => {}, onFatal: (error) => fatal.push(error) });
    await expect(away.producer().send('t', [{ key: null, value: 'x' }])).rejects.toThrow();
    await until(() => warnings.some((message) => message.includes('Kafka is away')), { what: 'the new start' });
    expect([fatal, consumer.joined]).toEqual([[], false]);
    await away[Symbol.asyncDispose]();
  });
});
