import { until } from '@biz/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkAudit } from './testing/check.ts';
import { type AuditHarness, auditHarness, envelope } from './testing/harness.ts';

let audit: AuditHarness;
beforeEach(async () => {
  audit = await auditHarness({ partitions: 4 });
});
afterEach(() => audit[Symbol.asyncDispose]());

const message = (index: number) => {
  const id = `c-${index % 25}`;
  return { key: id, value: JSON.stringify(envelope({ event_type: index < 25 ? 'card.created' : 'card.changed', payload: { id, index } })) };
};

async function allConsumed(): Promise<boolean> {
  return (await audit.bus.lag(audit.name, audit.topic)).every(({ lag }) => lag === 0n);
}

describe('a group of consumers', () => {
  it('restarted one after the other under load: no gap, no double, the order of each entity', async () => {
    const total = 500;
    const sending = (async () => {
      for (let from = 0; from < total; from += 20) {
        await audit.send(Array.from({ length: 20 }, (_, index) => message(from + index)));
      }
    })();
    const settings = { BATCH_RECORDS: '5' };
    let [first, second] = [await audit.start({}, settings), await audit.start({}, settings)];
    const grown = async (by: number) => {
      const before = await audit.collections.records.estimatedDocumentCount();
      await until(async () => (await audit.collections.records.estimatedDocumentCount()) >= Math.min(total, before + by), {
        what: 'more records',
        timeoutMs: 60_000,
      });
    };
    await grown(30);
    await first[Symbol.asyncDispose]();
    first = await audit.start({}, settings);
    await grown(30);
    await second[Symbol.asyncDispose]();
    second = await audit.start({}, settings);
    await sending;
    await until(allConsumed, { what: 'the end of the topic', timeoutMs: 90_000 });
    expect(await audit.collections.events.countDocuments()).toBe(total);
    await checkAudit(audit.collections);
    for (const record of await audit.collections.events.find().sort({ entity_key: 1, version: 1 }).toArray()) {
      expect(record.action_type === 'new').toBe(record.version === 1);
    }
  }, 180_000);
});

describe('a store that hangs', () => {
  it('is waited for: nothing more is read, nothing is lost, the membership stays', async () => {
    await audit.send(Array.from({ length: 60 }, (_, index) => message(index)));
    const hang = Promise.withResolvers<void>();
    let handed = 0;
    await audit.start(
      {
        ingestParts: (parts) => ({
          ...parts,
          store: {
            ...parts.store,
            insert: async (documents) => {
              handed += documents.length;
              await hang.promise;
              return parts.store.insert(documents);
            },
          },
        }),
      },
      { BATCH_RECORDS: '10', CONCURRENCY: '1' },
    );
    await until(() => handed > 0, { what: 'the first batch', timeoutMs: 30_000 });
    const [before, since] = [handed, Date.now()];
    // Longer than a heartbeat: without them the group would be given to others, and the same batch handed over again.
    await until(() => Date.now() - since > 4_000, { what: 'a while', timeoutMs: 10_000 });
    expect(handed).toBe(before);
    hang.resolve();
    await until(allConsumed, { what: 'the end of the topic', timeoutMs: 60_000 });
    expect(await audit.collections.events.countDocuments()).toBe(60);
    await checkAudit(audit.collections);
  });
});
