import type { InMessage } from '@biz/bus';
import { edgeRoot, extendFrontier, frontierRoot } from '@biz/merkle';
import type { Keyring } from '@biz/sealing';
import { seeded } from '@biz/testing';
import { describe, expect, it } from 'vitest';
import { leafOf } from '../leaf.ts';
import type { RecordDocument } from '../record.ts';
import { MemoryStore } from '../testing/memory-store.ts';
import { type IngestParts, ingest } from './ingest.ts';
import { Pending } from './pending.ts';

/** Seals nothing; a simulation is about order and repetition. */
const keyring = {
  seal: async (items: { text: string }[]) => items.map(({ text }) => `t:${text}`),
  open: async (items: { token: string }[]) => items.map(({ token }) => ({ ok: true as const, text: token.slice(2) })),
} as unknown as Keyring;

const log = { info() {}, warn() {}, error() {} };
const topic = 'topic';

class Killed extends Error {}

function partsWith(store: MemoryStore, pending: Pending): IngestParts {
  const producer = { send: async () => {}, [Symbol.asyncDispose]: async () => {} };
  return { store, keyring, producer, pending, dlqTopic: 'dlq', log, now: () => new Date('2026-11-20T12:00:00Z') };
}

/** One process of the consumer: what it puts off dies with it. */
class Process {
  readonly #store: MemoryStore;
  readonly #partition: number;
  #pending = new Pending();

  constructor(store: MemoryStore, partition = 0) {
    this.#store = store;
    this.#partition = partition;
  }

  /** False when it was killed on the way; it is then started anew. */
  async deliver(messages: readonly InMessage[], more = false): Promise<boolean> {
    const batch = { topic, partition: this.#partition, messages: [...messages], more, signal: new AbortController().signal };
    try {
      await ingest(partsWith(this.#store, this.#pending), batch);
      return true;
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      this.#pending = new Pending();
      return false;
    }
  }
}

type Random = () => number;

const below = (random: Random, limit: number) => Math.floor(random() * limit);

function shuffler(random: Random) {
  return <T>(list: readonly T[]): T[] =>
    list
      .map((item) => [random(), item] as const)
      .toSorted(([a], [b]) => a - b)
      .map(([, item]) => item);
}

const verbs = ['created', 'changed', 'changed', 'blocked', 'activated', 'deleted'];

/** Messages of a few entities and owners; some come twice, some with a taken id and other content, some are no envelope. */
function messagesOf(random: Random, count: number, prefix: string): InMessage[] {
  const texts: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const kind = random();
    if (index > 0 && kind < 0.15) {
      texts.push(texts[below(random, index)] as string);
    } else if (kind < 0.2) {
      texts.push('no envelope');
    } else {
      const taken = index > 0 && kind < 0.25;
      texts.push(envelopeText(random, taken ? `${prefix}${below(random, index)}` : `${prefix}${index}`, index));
    }
  }
  return texts.map((text, index) => messageAt(index, text));
}

function messageAt(offset: number, text: string): InMessage {
  return { offset: String(offset), key: null, value: Buffer.from(text), headers: {}, timestamp: '1763640000000' };
}

function envelopeText(random: Random, eventId: string, index: number): string {
  return JSON.stringify({
    producer_service: 'p',
    producer_service_id: 'i',
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    timestamp: new Date(Date.UTC(2026, 10, 20, 12, 0, below(random, 60))).toISOString(),
    event_type: `card.${verbs[below(random, verbs.length)]}`,
    payload: { id: `e${below(random, 3)}`, index },
    metadata: {
      event_id: eventId,
      event_schema_version: '1.0',
      owner_id: 'u',
      owner_ip: '192.0.2.1',
      owner_role: 'r',
      owner_type: 'user',
      ownership_id: `o${below(random, 2)}`,
      ...(random() < 0.3 && { entity_version: 1 + below(random, 3) }),
    },
  });
}

/** All that a store holds, in one comparable form. */
function stateOf(store: MemoryStore): unknown {
  const sorted = <T>(map: Map<string, T>) => [...map].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    records: sorted(store.recordsById),
    entities: sorted(store.entities),
    ownerships: sorted(store.ownerships),
    logs: sorted(store.logs),
    findings: sorted(store.findings),
    letters: sorted(store.letters),
  };
}

/** What holds of any store at rest, whoever wrote it in what order. */
function checkInvariants(store: MemoryStore): void {
  const records = [...store.recordsById.values()];
  for (const [logId, { size, edge }] of store.logs) {
    const leaves = records.filter((one) => one.log_id === logId).sort((a, b) => a.leaf_index - b.leaf_index);
    expect(leaves.map(({ leaf_index }) => leaf_index)).toEqual(Array.from({ length: size }, (_, index) => index));
    const tree = extendFrontier({ size: 0, hashes: [] }, leaves.map(leafOf));
    expect([edge.size, edgeRoot(edge).toString('hex')]).toEqual([size, frontierRoot(tree).toString('hex')]);
    const offsets = leaves.filter((one) => one.kind === 'event').map((one) => (one as RecordDocument).offset);
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
  }
  for (const key of new Set(records.filter(({ kind }) => kind === 'event').map(({ entity_key }) => entity_key))) {
    const versions = store.versionsOf(key);
    expect(versions.map(({ version }) => version)).toEqual(versions.map((_, index) => index + 1));
    let active = true;
    for (const { action_type, active_after } of versions) {
      active = action_type === 'update' ? active : action_type === 'new' || action_type === 'enable';
      expect(active_after).toBe(active);
    }
    expect(versions.map(({ is_active }) => is_active)).toEqual(
      versions.map(({ active_after }, index) => index === versions.length - 1 && active_after),
    );
    const newest = versions.at(-1) as RecordDocument;
    expect(store.entities.get(key)).toMatchObject({ version: newest.version, record_id: newest._id, is_active: newest.active_after });
  }
  const counted = [...store.ownerships.values()].map(({ counts }) => [...counts.values()].reduce((sum, { count }) => sum + count, 0));
  expect(counted.reduce((a, b) => a + b, 0)).toBe(records.filter(({ kind }) => kind === 'event').length);
}

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

describe(`SEED=${seed}`, { timeout: 300_000 }, () => {
  it('a crash before any effect, and any cut of what is delivered again, end in the same data', async () => {
    for (let run = 0; run < 6; run += 1) {
      const random = seeded(seed + run);
      const messages = messagesOf(random, 4 + below(random, 5), `r${run}-`);
      const undisturbed = new MemoryStore();
      await new Process(undisturbed).deliver(messages);
      checkInvariants(undisturbed);
      const expected = stateOf(undisturbed);
      for (let survived = true, crashAt = 1; survived; crashAt += 1) {
        for (let cut = 1; cut <= messages.length; cut += 1) {
          survived = await crashedRun(random, messages, crashAt, cut, expected, `run ${run}, crash at ${crashAt}, cut ${cut}`);
        }
      }
    }
  });

  it('crashes again and again, with other cuts each time, end in the same data', async () => {
    for (let run = 0; run < 150; run += 1) {
      const random = seeded(seed * 31 + run);
      const messages = messagesOf(random, 12, `m${run}-`);
      const undisturbed = new MemoryStore();
      await new Process(undisturbed).deliver(messages);
      let left = Number.POSITIVE_INFINITY;
      const step = async () => {
        left -= 1;
        if (left < 0) throw new Killed();
      };
      const store = new MemoryStore(step, shuffler(random));
      const process = new Process(store);
      for (let committed = 0, tries = 0; committed < messages.length; tries += 1) {
        left = tries < 20 ? below(random, 60) : Number.POSITIVE_INFINITY;
        const cut = messages.slice(committed, committed + 1 + below(random, 12));
        const ended = await process.deliver(cut, committed + cut.length < messages.length);
        // The commit itself may be lost.
        committed = ended && random() < 0.7 ? committed + cut.length : committed;
      }
      expect(withoutOffset(stateOf(store)), `run ${run}`).toEqual(withoutOffset(stateOf(undisturbed)));
      checkInvariants(store);
    }
  });

  it('several consumers, also two of one partition, with crashes: no gap, no fork, no version twice', async () => {
    for (let run = 0; run < 150; run += 1) {
      await checkConcurrentRun(seeded(seed * 17 + run), `run ${run}`);
    }
  });
});

/** `next_offset` tells where the last delivery ended, which a repeated commit may set back. */
function withoutOffset(state: unknown): unknown {
  return JSON.parse(JSON.stringify(state, (key, value) => (key === 'next_offset' ? undefined : value instanceof Map ? [...value] : value)));
}

/** False when the crash would have come after the end. */
async function crashedRun(
  random: Random,
  messages: InMessage[],
  crashAt: number,
  cut: number,
  expected: unknown,
  what: string,
): Promise<boolean> {
  let steps = 0;
  let crashed = false;
  const step = async () => {
    steps += 1;
    if (steps === crashAt) {
      crashed = true;
      throw new Killed();
    }
  };
  const store = new MemoryStore(step, shuffler(random));
  const process = new Process(store);
  const half = below(random, messages.length);
  if (half === 0 || (await process.deliver(messages.slice(0, half), true))) {
    await process.deliver(messages.slice(half));
  }
  if (crashed) {
    await process.deliver(messages.slice(0, cut), cut < messages.length);
    if (cut < messages.length) {
      await process.deliver(messages.slice(cut));
    }
  }
  expect(stateOf(store), what).toEqual(expected);
  return crashed;
}

async function checkConcurrentRun(random: Random, what: string): Promise<void> {
  const shared = messagesOf(random, 10, 'x');
  // Both partitions have events of the same entities, some of them the very same events.
  const partitions = [0, 1].map((partition) => {
    const own = messagesOf(random, 10, `p${partition}-`);
    return own.map((message, index) => (random() < 0.25 ? messageAt(index, String(shared[index]?.value)) : message));
  });
  const turns = async () => {
    for (let wait = below(random, 6); wait > 0; wait -= 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (random() < 0.01) throw new Killed();
  };
  const store = new MemoryStore(turns, shuffler(random));
  const consumer = async (partition: number) => {
    const messages = partitions[partition] as InMessage[];
    const process = new Process(store, partition);
    for (let committed = 0; committed < messages.length; ) {
      const cut = messages.slice(committed, committed + 1 + below(random, 6));
      if (await process.deliver(cut, committed + cut.length < messages.length)) {
        committed += cut.length;
      }
    }
  };
  await Promise.all([consumer(0), consumer(0), consumer(1), consumer(1)]);
  try {
    checkInvariants(store);
  } catch (error) {
    throw new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
