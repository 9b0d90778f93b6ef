import { insertMissing } from '@biz/eventstore';
import type { AnyBulkWriteOperation, Collection, Db } from 'mongodb';
import type { Hit } from './bursts.ts';
import type { PairState, PendingAlert, TallyStore } from './tally.ts';

interface HitDocument extends Hit {
  _id: string;
  pair: string;
  written_at: Date;
}

interface PairDocument extends PairState {
  _id: string;
}

/** Pairs asked for in one command. */
const MOST_PAIRS = 500;
/** Hits are counted long before: windows are a day at most, and what a consumer takes again is its last batch. */
const KEEP_HITS_SECONDS = 8 * 86_400;

/** Counts kept in MongoDB: one read of states, one insert and one read of hits a batch; bursts that begin are one write each. */
export async function openMongoTally(db: Db): Promise<TallyStore> {
  const writeConcern = { w: 'majority', journal: true } as const;
  const hits: Collection<HitDocument> = db.collection('alert_hits', { writeConcern });
  const pairs: Collection<PairDocument> = db.collection('alert_pairs', { writeConcern });
  await hits.createIndexes([
    // the hits of a window
    { key: { pair: 1, at: 1 } },
    { key: { written_at: 1 }, expireAfterSeconds: KEEP_HITS_SECONDS },
  ]);
  return {
    async states(ids) {
      const found = await inParts(ids, (part) => pairs.find({ _id: { $in: part } }).toArray());
      return new Map(found.map(({ _id, ...state }) => [_id, state]));
    },
    async addHits(given) {
      const written_at = new Date();
      await insertMissing(
        hits,
        given.map(({ id, ...hit }) => ({ _id: id, ...hit, written_at })),
      );
    },
    async hitsWithin(ranges) {
      const found = await inParts(ranges, (part) => {
        const from = Math.min(...part.map((range) => range.from));
        const to = Math.max(...part.map((range) => range.to));
        return hits.find({ pair: { $in: part.map(({ pair }) => pair) }, at: { $gte: from, $lte: to } }).toArray();
      });
      const rangeOf = new Map(ranges.map((range) => [range.pair, range]));
      const within = found.filter(({ pair, at }) => at >= (rangeOf.get(pair)?.from ?? 0) && at <= (rangeOf.get(pair)?.to ?? 0));
      return Map.groupBy(within, ({ pair }) => pair);
    },
    async extend(changes) {
      if (changes.length === 0) return;
      const updates = changes.map(
        ({ pair, last }): AnyBulkWriteOperation<PairDocument> => ({ updateOne: { filter: { _id: pair }, update: { $max: { last } } } }),
      );
      await pairs.bulkWrite(updates, { ordered: false });
    },
    async open(changes) {
      const written = await Promise.all([openFirst(pairs, changes), openAnother(pairs, changes)]);
      return new Set(written.flat());
    },
    async settle(alerts) {
      await inParts(alerts, async (part) => {
        const ids = part.map(({ alert_id }) => alert_id);
        await pairs.updateMany({ _id: { $in: part.map(({ pair }) => pair) } }, { $pull: { pending: { alert_id: { $in: ids } } } });
        return [];
      });
    },
  };
}

type Opening = { pair: string; seen: number | undefined; last: number; pending: PendingAlert[] };

async function openFirst(pairs: Collection<PairDocument>, changes: readonly Opening[]): Promise<string[]> {
  const first = changes.filter(({ seen }) => seen === undefined).map(({ pair, last, pending }) => ({ _id: pair, last, pending }));
  const taken = new Set((await insertMissing(pairs, first)).map(({ _id }) => _id));
  return first.map(({ _id }) => _id).filter((pair) => !taken.has(pair));
}

async function openAnother(pairs: Collection<PairDocument>, changes: readonly Opening[]): Promise<string[]> {
  const written: string[] = [];
  for (const { pair, seen, last, pending } of changes) {
    if (seen === undefined) continue;
    const update = { $set: { last }, $push: { pending: { $each: pending } } };
    const { matchedCount } = await pairs.updateOne({ _id: pair, last: seen }, update);
    if (matchedCount > 0) written.push(pair);
  }
  return written;
}

async function inParts<Item, Found>(items: readonly Item[], read: (part: Item[]) => Promise<Found[]>): Promise<Found[]> {
  const found: Found[] = [];
  for (let at = 0; at < items.length; at += MOST_PAIRS) found.push(...(await read(items.slice(at, at + MOST_PAIRS))));
  return found;
}
