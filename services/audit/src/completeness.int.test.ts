// Completeness on real engines: a service of the fleet's kind, a broker that loses what it acknowledged, and an audit that notices.
import { randomUUID } from 'node:crypto';
import type { EventDocument } from '@biz/eventstore';
import { loadContract } from '@biz/protos';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Collections } from './collections.ts';
import { consumerCaughtUp } from './completeness/caught-up.ts';
import { checkCompleteness } from './completeness/index.ts';
import { type Reconciler, type ReconcilerParts, startReconciler } from './completeness/reconciler.ts';
import { reconcilerParts } from './completeness/wiring.ts';
import { auditConfig } from './config.ts';
import { type AuditHarness, auditHarness, contextOf } from './testing/harness.ts';
import { type Team, teamService } from './testing/team.ts';

type Finding = {
  id: string;
  kind: string;
  status: string;
  event_id: string;
  republish_count?: number;
  closed_at?: string;
  company_id?: string;
};
type Page = { items?: Finding[] };
const auditorA = contextOf(['auditor'], ['company-a']);
const log = { error: () => undefined, info: () => undefined, warn: () => undefined };

async function records(audit: AuditHarness, entityId: string): Promise<(number | undefined)[]> {
  const found = await audit.collections.events.find({ entity_id: entityId, kind: 'event' }).sort({ version: 1 }).toArray();
  return found.map(({ entity_version }) => entity_version);
}
const recorded = (audit: AuditHarness, entityId: string, count: number) =>
  until(async () => (await records(audit, entityId)).length === count, { what: `${count} records` });

/** The collection of somebody who dies right after so many writes: they are there, and nothing after them is. */
function dyingAfter(writes: number, findings: Collections['findings']): Collections['findings'] {
  let left = writes;
  return new Proxy(findings, {
    get(target, name) {
      const member = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      if (name !== 'insertMany' && name !== 'updateMany') return member.bind(target);
      return async (...args: unknown[]) => {
        const result = await member.apply(target, args);
        left -= 1;
        if (left <= 0) throw new Error('killed');
        return result;
      };
    },
  });
}

describe('by itself', () => {
  let audit: AuditHarness;
  let team: Team;
  let list: (request?: object) => Promise<Finding[]>;

  beforeAll(async () => {
    audit = await auditHarness({ partitions: 3 });
    team = await teamService(audit);
    const { address } = await audit.start(
      {},
      { SERVICE_ADDRESSES: `team=${team.address}`, RECONCILE_EVERY_SECONDS: '0.1', RECONCILE_GRACE_SECONDS: '0.1' },
    );
    const call = audit.client(address);
    list = async (request = {}) => (await call<Page>('ListFindings', request, auditorA)).items ?? [];
  });
  afterAll(async () => {
    await team?.[Symbol.asyncDispose]();
    await audit?.[Symbol.asyncDispose]();
  });

  it('a published message that Kafka lost is found, published again until it is there, and closed', async () => {
    const id = randomUUID();
    // until it was found and published again in vain
    team.lose(id, 2, Number.POSITIVE_INFINITY);
    const [, lost = ''] = await team.change(id, 4);
    const open = await until(
      async () => {
        const found = (await list({ status: 'open', kind: 'missing_event' })).find((one) => one.event_id === lost);
        return (found?.republish_count ?? 0) >= 2 && found;
      },
      { what: 'the finding' },
    );
    team.lose(id, 2, 0);
    expect(open).toMatchObject({ entity_type: 'team', entity_id: id, company_id: 'company-a', named_version: 2, service: 'team' });
    const closed = await until(async () => (await list({ status: 'closed' })).find((one) => one.id === open.id), {
      what: 'it to be closed',
    });
    expect(closed.republish_count).toBeGreaterThanOrEqual(2);
    // The three after the gap had named another version than they got, the lost one as well; with the gap filled that is no finding either.
    const all = await until(
      async () => {
        const closed = await list({ status: 'closed' });
        return closed.length === 4 && closed;
      },
      { what: 'all findings to be closed' },
    );
    expect(all.map(({ kind }) => kind).sort()).toEqual(['missing_event', 'version_differs', 'version_differs', 'version_differs']);
    expect(await list({ status: 'open' })).toEqual([]);
    expect((await records(audit, id)).sort()).toEqual([1, 2, 3, 4]);
    const told = () => audit.collections.events.countDocuments({ entity_type: 'audit_finding' });
    await until(async () => (await told()) === 2 * all.length, { what: 'an event for each opening and closing' });
    for (const { id: finding } of all) {
      const its = await audit.collections.events.find({ entity_type: 'audit_finding', entity_id: finding }).sort({ version: 1 }).toArray();
      expect(its.map(({ event_type, entity_version, company_id }) => [event_type, entity_version, company_id])).toEqual([
        ['audit_finding.opened', 1, 'company-a'],
        ['audit_finding.closed', 2, 'company-a'],
      ]);
    }
  });

  it('so is the first message of an entity, of which nothing else tells', async () => {
    const id = randomUUID();
    team.lose(id, 1, 1);
    const [lost] = await team.change(id, 1, null);
    await recorded(audit, id, 1);
    const finding = await until(() => audit.collections.findings.findOne({ event_id: lost as string, status: 'closed' }), {
      what: 'closing',
    });
    expect(finding).toMatchObject({ kind: 'missing_event', company_id: null });
    // Asked for once more where the way to the audit takes longer than the first patience.
    expect(finding.republish_count).toBeGreaterThanOrEqual(1);
    // It belongs to no company, so a company's auditor does not see it.
    expect((await list()).some(({ id: one }) => one === finding._id)).toBe(false);
  });
});

describe('asked', () => {
  let audit: AuditHarness;
  let team: Team;
  let address: string;
  let blocked: PromiseWithResolvers<void> | undefined;

  beforeAll(async () => {
    audit = await auditHarness();
    team = await teamService(audit);
    const wait = async <T>(work: () => Promise<T>) => {
      await blocked?.promise;
      return work();
    };
    const service = await audit.start({
      ingestParts: (parts) => ({ ...parts, store: { ...parts.store, logState: (id) => wait(() => parts.store.logState(id)) } }),
    });
    address = service.address;
  });
  afterAll(async () => {
    await team?.[Symbol.asyncDispose]();
    await audit?.[Symbol.asyncDispose]();
  });

  /** A reconciler that looks only when it is asked, and does not wait long for the audit's consumer. */
  function reconciler(options: Partial<ReconcilerParts> & { env?: NodeJS.ProcessEnv } = {}): Reconciler {
    const config = auditConfig({ ...audit.env, ...options.env });
    const parts = {
      db: audit.database.db,
      collections: options.collections ?? audit.collections,
      contract: loadContract(),
      bus: audit.bus,
      log,
    };
    return startReconciler({
      ...reconcilerParts(config, parts),
      addresses: options.addresses ?? { team: team.address },
      graceMs: options.graceMs ?? 0,
      everyMs: 3_600_000,
      caughtUp: consumerCaughtUp(audit.bus, config.CONSUMER_GROUP, config.AUDIT_TOPIC, blocked ? 500 : 10_000),
    });
  }
  const verdict = (one: Reconciler) => checkCompleteness({ collections: audit.collections, reconciler: one }, { scope: 'all' });

  it('everything is compared, and complete', async () => {
    await using one = reconciler({ addresses: { team: team.address, audit: address } });
    const id = randomUUID();
    await team.change(id, 3);
    await recorded(audit, id, 3);
    expect(await verdict(one)).toEqual({
      ...{ ok: true, open: 0, findings: [] },
      services: [
        { service: 'team', state: 'compared', heads: 1 },
        { service: 'audit', state: 'compared', heads: 0 },
      ],
    });
  });

  it('what is on its way is no finding: not published, published within the grace, or not read by the audit yet', async () => {
    const id = randomUUID();
    team.hold(true);
    await team.change(id, 2);
    blocked = Promise.withResolvers();
    await using now = reconciler();
    expect(await verdict(now)).toMatchObject({ ok: true, findings: [] });
    team.hold(false);
    await until(async () => (await team.store.events.countDocuments({ published_at: null })) === 0, { what: 'the relay' });
    await using patient = reconciler({ graceMs: 3_600_000 });
    expect(await verdict(patient)).toMatchObject({ ok: true, findings: [], services: [{ state: 'compared' }] });
    const undecided = await verdict(now);
    expect(undecided).toMatchObject({ ok: false, findings: [], services: [{ service: 'team', state: 'undecided' }] });
    blocked.resolve();
    blocked = undefined;
    await recorded(audit, id, 2);
    expect(await verdict(now)).toMatchObject({ ok: true, findings: [], services: [{ state: 'compared' }] });
  });

  it('a service that cannot be asked makes the verdict not ok, and says why', async () => {
    await using one = reconciler({ addresses: { team: '127.0.0.1:1', audit: address } });
    expect(await verdict(one)).toMatchObject({
      ok: false,
      services: [
        { service: 'team', state: 'unreachable', reason: expect.stringContaining('unavailable') },
        { service: 'audit', state: 'compared' },
      ],
    });
  });

  it('events that a service lost are findings until it has them again', async () => {
    await using one = reconciler();
    const [rolledBack, gone] = [randomUUID(), randomUUID()];
    await team.change(rolledBack, 2);
    await team.change(gone, 2);
    await Promise.all([recorded(audit, rolledBack, 2), recorded(audit, gone, 2)]);
    const lost = { $or: [{ stream_id: `team:${gone}` }, { stream_id: `team:${rolledBack}`, version: 2 }] };
    const kept = await team.store.events.find(lost).toArray();
    await team.store.events.deleteMany(lost);
    const found = await verdict(one);
    expect(found).toMatchObject({ ok: false, open: 3 });
    expect(new Set(found.findings.map(({ kind, event_id }) => `${kind} ${event_id}`))).toEqual(
      new Set(kept.map(({ _id }) => `unknown_to_service ${_id}`)),
    );
    expect((await verdict(one)).open).toBe(3);
    await team.store.events.insertMany(kept);
    expect(await verdict(one)).toMatchObject({ ok: true, open: 0 });
  });

  it.each([1, 2, 3])('a reconciler that dies after its write number %i leaves what the next one finishes, once', async (writes) => {
    const id = randomUUID();
    team.lose(id, 1, 1);
    const [lost] = await team.change(id, 1);
    await until(async () => (await team.store.events.countDocuments({ published_at: null })) === 0, { what: 'the relay' });
    const dying = { ...audit.collections, findings: dyingAfter(writes, audit.collections.findings) };
    await until(
      async () => {
        await using one = reconciler({ collections: dying });
        const end = await one.reconcile().catch((error: unknown) => error);
        return end instanceof Error && end.message === 'killed';
      },
      { what: 'it to die' },
    );
    await using next = reconciler();
    await until(async () => (await verdict(next)).ok, { what: 'everything to be healed' });
    expect(await audit.collections.findings.find({ event_id: lost as string }).toArray()).toMatchObject([{ status: 'closed' }]);
    expect(await records(audit, id)).toEqual([1]);
  });

  it('many findings are opened over several comparisons', async () => {
    await using one = reconciler({ env: { RECONCILE_FINDINGS: '1' } });
    const ids = [randomUUID(), randomUUID(), randomUUID()];
    for (const id of ids) {
      team.lose(id, 1, 1_000);
      await team.change(id, 1);
    }
    await until(async () => (await team.store.events.countDocuments({ published_at: null })) === 0, { what: 'the relay' });
    const counts = [];
    for (let n = 0; n < 4; n += 1) counts.push((await verdict(one)).open);
    expect(counts).toEqual([1, 2, 3, 3]);
    for (const id of ids) team.lose(id, 1, 0);
    await until(async () => (await verdict(one)).ok, { what: 'all of them healed', intervalMs: 500 });
  });

  it('the audit’s own events are compared, too', async () => {
    await using one = reconciler({ addresses: { audit: address } });
    const outbox = audit.database.db.collection<EventDocument>('events');
    const [sent] = await team.store.events.find().limit(1).toArray();
    const lost = { ...(sent as EventDocument), _id: randomUUID(), stream_id: 'audit_read:lost', version: 1, published_at: new Date() };
    lost.meta = { ...lost.meta, entity_type: 'audit_read', entity_id: 'lost' };
    await outbox.insertOne(lost);
    expect(await verdict(one)).toMatchObject({ ok: false, findings: [{ kind: 'missing_event', service: 'audit', event_id: lost._id }] });
    await recorded(audit, 'lost', 1);
    expect(await verdict(one)).toMatchObject({ ok: true });
  });
});
