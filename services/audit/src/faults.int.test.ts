import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { until } from '@biz/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { IngestParts } from './ingest/ingest.ts';
import type { AuditStore } from './ingest/store.ts';
import { checkAudit } from './testing/check.ts';
import { type AuditHarness, auditHarness, envelope } from './testing/harness.ts';

let audit: AuditHarness;
beforeEach(async () => {
  audit = await auditHarness({ partitions: 2 });
});
afterEach(() => audit[Symbol.asyncDispose]());

const cards = ['c-1', 'c-2', 'c-3'];
const verbs = ['created', 'changed', 'blocked', 'changed', 'activated', 'deleted'];

/** Events of a few cards and owners, one message twice, one that is no envelope. */
function messages(count: number): { key: string; value: string }[] {
  const made = Array.from({ length: count }, (_, index) => {
    const id = cards[index % cards.length] as string;
    const event_type = `card.${verbs[index % verbs.length]}`;
    return {
      key: id,
      value: JSON.stringify(envelope({ event_type, payload: { id, index }, metadata: { ownership_id: `own-${index % 2}` } })),
    };
  });
  return [...made, made[0] as { key: string; value: string }, { key: 'c-1', value: 'no envelope' }];
}

async function consumed(topic: string): Promise<boolean> {
  return (await audit.bus.lag(audit.name, topic)).every(({ lag }) => lag === 0n);
}

const steps = [
  'insert',
  'clearActive',
  'raiseHeads',
  'mergeOwnerships',
  'saveFindings',
  'saveDeadLetters',
  'saveTiles',
  'advance',
] as const;

/** The store with one step that fails once: before it did anything, or after it did all. */
function failingOnce(store: AuditStore, step: (typeof steps)[number], when: 'before' | 'after'): AuditStore {
  let failed = false;
  const wrapped = async (...args: unknown[]) => {
    const fail = () => {
      failed = true;
      throw new Error(`the store failed ${when} ${step}`);
    };
    if (!failed && when === 'before') fail();
    const result = await (store[step] as (...args: unknown[]) => Promise<unknown>)(...args);
    if (!failed) fail();
    return result;
  };
  return { ...store, [step]: wrapped };
}

describe('a store that fails', () => {
  it.each(steps.flatMap((step) => (['before', 'after'] as const).map((when) => [when, step] as const)))(
    '%s %s: comes again, ends the same',
    async (when, step) => {
      const sent = messages(12);
      await audit.send(sent);
      let tried = 0;
      await audit.start({
        ingestParts: (parts: IngestParts) => {
          tried += 1;
          return { ...parts, store: failingOnce(parts.store, step, when) };
        },
      });
      await until(() => consumed(audit.topic), { what: 'the end of the topic', timeoutMs: 30_000 });
      expect(tried).toBe(1);
      expect(await audit.collections.events.countDocuments()).toBe(12);
      expect((await audit.collections.deadLetters.find().toArray()).map(({ code }) => code)).toEqual(['invalid_json']);
      await checkAudit(audit.collections);
    },
  );
});

describe('a consumer that is killed', () => {
  it('with signal 9, again and again, at any moment: nothing is lost, nothing is twice', async () => {
    const main = fileURLToPath(new URL('./main.ts', import.meta.url));
    const run = () =>
      spawn(process.execPath, ['--conditions=source', '--disable-warning=TimeoutNegativeWarning', main], {
        env: { ...process.env, ...audit.env, BATCH_RECORDS: '7', LOG_LEVEL: 'error' },
        stdio: 'ignore',
      });
    const recorded = () => audit.collections.records.estimatedDocumentCount();
    let total = 0;
    // However fast it is: until it was killed three times before its end.
    for (let kills = 0; kills < 3; ) {
      const before = await recorded();
      total += 300;
      await audit.send(messages(300));
      const child = run();
      const exited = once(child, 'exit');
      try {
        await until(async () => (await recorded()) > before + kills * 5, { what: 'some more records', timeoutMs: 120_000, intervalMs: 3 });
      } finally {
        child.kill('SIGKILL');
        await exited;
      }
      if ((await recorded()) < total) kills += 1;
    }
    await audit.start();
    await until(() => consumed(audit.topic), { what: 'the end of the topic', timeoutMs: 60_000 });
    expect(await audit.collections.events.countDocuments()).toBe(total);
    await checkAudit(audit.collections);
  }, 500_000);
});

describe('two consumers of one partition', () => {
  it('of which one sleeps through the other’s work: no fork, and both end', async () => {
    const sent = messages(20);
    await audit.send(sent, 0);
    const asleep = Promise.withResolvers<void>();
    const awake = Promise.withResolvers<void>();
    let woken = false;
    await audit.start(
      {
        ingestParts: (parts) => ({
          ...parts,
          store: {
            ...parts.store,
            insert: async (documents) => {
              // Planned, and about to write: the moment to be taken for dead.
              asleep.resolve();
              await awake.promise;
              woken = true;
              return parts.store.insert(documents);
            },
          },
        }),
      },
      { CONSUMER_GROUP: `${audit.name}-sleeper` },
    );
    await asleep.promise;
    await audit.start();
    await until(() => consumed(audit.topic), { what: 'the work of the other', timeoutMs: 30_000 });
    const before = await audit.collections.records.find().sort({ _id: 1 }).toArray();
    awake.resolve();
    await until(async () => woken && (await audit.bus.lag(`${audit.name}-sleeper`, audit.topic)).every(({ lag }) => lag === 0n), {
      what: 'the sleeper',
      timeoutMs: 30_000,
    });
    expect(await audit.collections.records.find().sort({ _id: 1 }).toArray()).toEqual(before);
    await checkAudit(audit.collections);
  });
});

describe('one event in two partitions', () => {
  it('is recorded once; with other content it is a dead letter', async () => {
    const one = envelope({ metadata: { event_id: 'e-1' } });
    await audit.send([one], 0);
    await audit.start();
    await until(() => consumed(audit.topic), { what: 'the first', timeoutMs: 30_000 });
    await audit.send([one, envelope({ payload: { id: 'other' }, metadata: { event_id: 'e-1' } })], 1);
    await until(() => consumed(audit.topic), { what: 'the others', timeoutMs: 30_000 });
    expect(await audit.collections.records.countDocuments()).toBe(1);
    expect((await audit.collections.deadLetters.find().toArray()).map(({ code, partition, offset }) => [code, partition, offset])).toEqual([
      ['event_id_conflict', 1, 1],
    ]);
  });

  it('taken by both at the same moment: once, and the place kept for the other is filled', async () => {
    const twice = envelope({ metadata: { event_id: 'e-2' } });
    const behind = () => envelope({ payload: { id: randomUUID() } });
    await audit.send([twice, behind()], 0);
    await audit.send([twice, behind()], 1);
    // Both have planned before either writes.
    let planned = 0;
    const both = Promise.withResolvers<void>();
    await audit.start(
      {
        ingestParts: (parts) => ({
          ...parts,
          store: {
            ...parts.store,
            insert: async (documents) => {
              planned += 1;
              if (planned === 2) both.resolve();
              await both.promise;
              // what is behind first, as an older release may have left it
              return parts.store.insert(documents.toReversed());
            },
          },
        }),
      },
      { CONCURRENCY: '2' },
    );
    await until(() => consumed(audit.topic), { what: 'both partitions', timeoutMs: 30_000 });
    const all = await audit.collections.records.find().toArray();
    expect(all.map(({ kind }) => kind).sort()).toEqual(['event', 'event', 'event', 'void']);
    expect(all.filter(({ event_id }) => event_id === 'e-2')).toHaveLength(1);
    expect(all.find(({ kind }) => kind === 'void')).toMatchObject({ duplicate_of: 'e-2', leaf_index: 0 });
    await checkAudit(audit.collections);
  });
});
