import { insertMissing } from '@biz/eventstore';
import { type Edge, EMPTY_EDGE, edgeRoot } from '@biz/merkle';
import { Binary, type Collection } from 'mongodb';
import type { Collections, OwnershipDocument } from '../collections.ts';
import { fieldName, recordId, tileId } from '../keys.ts';
import type { EntityState } from './batch.ts';
import { exactStates } from './exact-states.ts';
import type { AuditStore, EntityDocument, LogAdvance, OwnershipMerge } from './store.ts';
import { updateEach } from './table-update.ts';

// One beyond the last digit: ends the range of a log's ids.
const AFTER_DIGITS = ':';

/** The consumer's steps on MongoDB. Every write is acknowledged by the majority, on disk (the client's write concern). */
export function createMongoStore(collections: Collections): AuditStore {
  const { records, events, entities, logs } = collections;
  return {
    logState: async (logId) => {
      const { size = 0, applied = size, edge } = (await logs.findOne({ _id: logId })) ?? {};
      return { size, applied, edge: size === 0 ? EMPTY_EDGE : edge && openEdge(size, edge) };
    },
    recordsBetween: (logId, from, to) =>
      events
        .find(
          { _id: { $gte: recordId(logId, from), $lt: recordId(logId, to) }, kind: 'event' },
          { projection: { payload: 0, extra: 0 }, sort: { _id: 1 } },
        )
        .toArray(),
    leavesBetween: (logId, from, to) =>
      records
        .find({ _id: { $gte: recordId(logId, from), $lt: recordId(logId, to) } })
        .sort({ _id: 1 })
        .toArray(),
    placedFrom: async (logId, base) => {
      const range = { $gte: recordId(logId, base), $lt: `${logId}.${AFTER_DIGITS}` };
      const found = records.find(
        { _id: range },
        { projection: { leaf_index: 1, offset: 1, event_id: 1, entity_key: 1, version: 1 }, sort: { _id: 1 } },
      );
      return (await found.toArray()).map((one) => ({ offset: -1, ...one }));
    },
    findEvents: async (eventIds) => {
      const found = records.find({ event_id: { $in: [...eventIds] } }, { projection: { event_id: 1, log_id: 1, offset: 1 } });
      return (await found.toArray()).map((one) => ({ offset: -1, ...one }));
    },
    records: async (ids) => await events.find({ _id: { $in: [...ids] }, kind: 'event' }).toArray(),
    heads: (keys) => heads(entities, keys),
    exactStates: (keys, fromVersion) => exactStates(collections, keys, fromVersion),
    insert: async (documents) => (await insertMissing(records, documents, { ordered: true })).length === 0,
    clearActive: async (ids) => {
      if (ids.length > 0) {
        await records.updateMany({ _id: { $in: [...ids] }, is_active: true }, { $set: { is_active: false } });
      }
    },
    raiseHeads: (rows) =>
      upsertEach(entities, rows, {
        values: ({ version, record_id, log_id, is_active }) => ({ version, record_id, log_id, is_active }),
        set: raised,
        create: (row) => row,
      }),
    mergeOwnerships: (logId, merges) => mergeOwnerships(collections.ownerships, logId, merges),
    saveFindings: (findings) => insertOnce(collections.findings, findings),
    saveDeadLetters: (letters) => insertOnce(collections.deadLetters, letters),
    saveTiles: (logId, tiles) =>
      insertOnce(
        collections.tiles,
        tiles.map(({ level, index, hashes }) => ({
          _id: tileId(logId, level, index),
          log_id: logId,
          level,
          index,
          hashes: new Binary(hashes),
        })),
      ),
    plantEdge: async (logId, edge) => {
      await logs.updateOne({ _id: logId, size: edge.size, edge: { $exists: false } }, { $set: treeFields(edge) });
    },
    advance: (logId, base, to) => advance(logs, logId, base, to),
  };
}

async function heads(entities: Collections['entities'], keys: readonly string[]): Promise<Map<string, EntityState>> {
  const found = entities.find({ _id: { $in: [...keys] } }, { projection: { version: 1, record_id: 1, is_active: 1 } });
  return new Map(
    (await found.toArray()).map(({ _id, version, record_id, is_active }) => [
      _id,
      { version, newest: { record_id, active: is_active }, flagged: is_active ? [record_id] : [] },
    ]),
  );
}

/** Inserts what is not there. */
async function insertOnce<T extends { _id: string }>(collection: Collection<T>, documents: readonly T[]): Promise<void> {
  await insertMissing(collection, documents);
}

/**
 * Updates the rows that are there and inserts the others; a row that somebody else inserted meanwhile is updated after all, whether before or
 * after it was looked for. Updates are repeated then, which changes nothing more.
 */
async function upsertEach<T extends { _id: string }, Row extends { _id: string }>(
  collection: Collection<T>,
  rows: readonly Row[],
  { values, set, create }: { values: (row: Row) => object; set: Record<string, unknown>; create: (row: Row) => T },
): Promise<void> {
  const plain = collection as unknown as Collection<{ _id: string }>;
  for (let left = rows; left.length > 0; ) {
    const updated = await updateEach(plain, left, values, set);
    if (updated === left.length) {
      return;
    }
    const present = new Set(
      (await plain.find({ _id: { $in: left.map(({ _id }) => _id) } }, { projection: { _id: 1 } }).toArray()).map(({ _id }) => _id),
    );
    const missing = left.filter(({ _id }) => !present.has(_id));
    const taken = new Set((await insertMissing(collection, missing.map(create))).map(({ _id }) => _id));
    // More are there than were updated: one of them came in between, and which is not known.
    const late = present.size > updated ? left.filter(({ _id }) => present.has(_id)) : [];
    left = [...late, ...missing.filter(({ _id }) => taken.has(_id))];
  }
}

const isNewer = { $gt: ['$row.version', '$version'] };
const newer = (field: keyof EntityDocument) => ({ $cond: [isNewer, `$row.${field}`, `$${field}`] });
// One stage sees the document as it was, so every field decides by the same version.
const raised = { version: newer('version'), record_id: newer('record_id'), log_id: newer('log_id'), is_active: newer('is_active') };

async function mergeOwnerships(ownerships: Collections['ownerships'], logId: string, merges: readonly OwnershipMerge[]): Promise<void> {
  const log = fieldName(logId);
  const upto = { $ifNull: [`$counts.${log}.upto`, -1] };
  const uncounted = { $size: { $filter: { input: '$row.leaves', cond: { $gt: ['$$this', upto] } } } };
  const union = (name: string) => ({ $setUnion: [`$${name}`, `$row.${name}`] });
  const set = {
    first_seen: { $min: ['$first_seen', '$row.first_seen'] },
    last_seen: { $max: ['$last_seen', '$row.last_seen'] },
    entity_types: union('entity_types'),
    [`counts.${log}`]: {
      upto: { $max: [upto, { $max: '$row.leaves' }] },
      count: { $add: [{ $ifNull: [`$counts.${log}.count`, 0] }, uncounted] },
    },
  };
  const isBlind = ({ blind_document, blind_email }: OwnershipMerge) => blind_document.length + blind_email.length > 0;
  const steps = {
    values: ({ company_id: _, ownership_id: __, blind_document: ___, blind_email: ____, ...row }: OwnershipMerge) => row,
    set,
  };
  const create = ({ leaves, ...merge }: OwnershipMerge): OwnershipDocument => ({
    ...merge,
    counts: { [log]: { upto: leaves.at(-1) ?? -1, count: leaves.length } },
    key_state: 'active',
    holds: [],
    requests: [],
  });
  const blindSet = { ...set, blind_document: union('blind_document'), blind_email: union('blind_email') };
  await Promise.all([
    upsertEach(
      ownerships,
      merges.filter((merge) => !isBlind(merge)),
      { ...steps, create },
    ),
    upsertEach(ownerships, merges.filter(isBlind), { values: (merge) => merge, set: blindSet, create }),
  ]);
}

/** The edge as a log's document holds it. */
export function openEdge(size: number, levels: readonly Binary[]): Edge {
  return { size, levels: levels.map((level) => Buffer.from(level.value())) };
}

/** The fields of a log's document that hold its tree. */
export function treeFields(edge: Edge): { root: Binary; edge: Binary[] } {
  return { root: new Binary(edgeRoot(edge)), edge: edge.levels.map((level) => new Binary(level)) };
}

async function advance(logs: Collections['logs'], logId: string, base: number, { edge, ...to }: LogAdvance): Promise<boolean> {
  const change = { ...to, ...treeFields(edge), updated_at: new Date() };
  const { matchedCount } = await logs.updateOne({ _id: logId, size: base }, { $set: change });
  if (matchedCount === 1) {
    return true;
  }
  return base === 0 && (await insertMissing(logs, [{ _id: logId, ...change }])).length === 0;
}
