// A service's relay has marked an event as published, and Kafka never had it: the audit finds out and has it published again.
import { randomUUID } from 'node:crypto';
import { until } from '@biz/testing';
import { type Collection, MongoClient } from 'mongodb';
import { expect, it } from 'vitest';
import { as, auditHistory, unique } from './client.ts';
import { currentRun } from './fleet.ts';

type Event = {
  _id: string;
  version: number;
  type: string;
  data: object;
  at: string;
  meta: object;
  published_at: Date | null;
  [more: string]: unknown;
};
type Finding = { id: string; kind: string; status: string; event_id: string; entity_id: string; republish_count: number };

/** A UUIDv7 of now. */
function newEventId(): string {
  const hex = Date.now().toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7${randomUUID().slice(15)}`;
}

/**
 * A change of the entity as its service would have made it, by now marked as published: the mark is there before any relay could see the
 * event, so it is certain that nobody sends it.
 */
async function changeThatKafkaLost(mongo: MongoClient, id: string, name: string): Promise<string> {
  const db = mongo.db(currentRun().services['cost-center']?.database ?? '');
  const events: Collection<Event> = db.collection('events');
  const first = await events.findOne({ stream_id: `cost_center:${id}`, version: 1 });
  if (!first) throw new Error('the cost centre has no event');
  const { idempotency: _, fence: __, ...like } = first;
  const at = new Date();
  const lost = {
    ...like,
    _id: newEventId(),
    version: 2,
    type: 'cost_center.updated',
    data: { id, name },
    at: at.toISOString(),
    published_at: at,
  };
  await events.insertOne({ ...lost, meta: { ...first.meta, action_type: 'update' } });
  const folded = { version: 2, last_event_id: lost._id, 'state.name': name, updated_at: lost.at };
  await db.collection<{ _id: string }>('current').updateOne({ _id: id }, { $set: folded });
  return lost._id;
}

it('a published message that was lost is found, alerted, healed by publishing it again, and the finding is closed', async () => {
  await using stack = new AsyncDisposableStack();
  const mongo = await new MongoClient(currentRun().mongodb_url).connect();
  stack.defer(() => mongo.close());
  const admin = as('admin-a');
  const { id } = (await admin.post('/v1/cost-centers', { code: unique('CC'), name: 'Loja Centro' })).body;
  await auditHistory('cost_center', id, 1);
  const lost = await changeThatKafkaLost(mongo, id, 'Loja Perdida');
  expect((await admin.get(`/v1/cost-centers/${id}`)).body).toMatchObject({ version: 2, name: 'Loja Perdida' });
  const later = await admin.patch(`/v1/cost-centers/${id}`, { name: 'Loja Achada' }, 2);
  expect(later.status, later.text).toBe(200);

  const findings = async (query: string): Promise<Finding[]> => {
    const answer = await as('auditor-a').get(`/v1/audit/findings?page_size=200&${query}`);
    expect(answer.status, answer.text).toBe(200);
    return answer.body.items.filter((one: Finding) => one.entity_id === id);
  };
  // on a slow machine the other events of the entity may have been missed for a moment, too
  const finding = await until(async () => (await findings('kind=missing_event&status=closed')).find(({ event_id }) => event_id === lost), {
    timeoutMs: 90_000,
    what: 'the lost event to be found and healed',
  });
  expect(finding).toMatchObject({ named_version: 2, service: 'cost-center', entity_type: 'cost_center' });
  expect(finding.republish_count).toBeGreaterThanOrEqual(1);

  const records = await auditHistory('cost_center', id, 3);
  expect(records.map((record) => record.entity_version).sort()).toEqual([1, 2, 3]);
  expect(records.find((record) => record.event_id === lost)).toMatchObject({ event_type: 'cost_center.updated', action_type: 'update' });

  // What came after the gap had got another version than its own; that is settled with it.
  await until(async () => (await findings('status=open')).length === 0, { timeoutMs: 90_000, what: 'every finding about it to be closed' });
  const told = await auditHistory('audit_finding', finding.id, 2);
  expect(told.map((record) => record.event_type)).toEqual(['audit_finding.opened', 'audit_finding.closed']);
  const foreign = await as('admin-b').get('/v1/audit/findings?page_size=200');
  expect(foreign.body.items.filter((one: Finding) => one.entity_id === id)).toEqual([]);
});
