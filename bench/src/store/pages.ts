import { listRecords, presentRecords } from '@biz/audit';
import { seeded } from '@biz/testing';
import type { Document } from 'mongodb';
import { percentile, type Report } from '../report.ts';
import { explained } from './explain.ts';
import type { FilledStore } from './filled.ts';

type Filters = Parameters<typeof listRecords>[2];

/** Queries of each kind, and the time after which there are no more. */
const QUERIES = 200;
const LONGEST_MS = 30_000;
const PAGE = 50;

/** A page of 50 records by each of the filters that people search with; the floor is the bare read of the same documents. */
export async function benchPages(store: FilledStore, report: Report): Promise<void> {
  const samples = await someRecords(store, QUERIES);
  const lists: [string, (record: Document) => Filters][] = [
    ['ownership id', ({ ownership_id }) => ({ ownership_id })],
    ['actor', ({ owner_id }) => ({ owner_id })],
    ['trace id', ({ trace_id }) => ({ trace_id })],
    ['time', ({ action_at }) => ({ to: action_at.toISOString() })],
  ];
  for (const [name, filtersOf] of lists) {
    const first = samples[0] as Document;
    const plan = await explained(store, (watched) => page(watched, [first.company_id], filtersOf(first)));
    const times: number[] = [];
    const floors: number[] = [];
    const until = performance.now() + LONGEST_MS;
    for (const record of samples) {
      if (performance.now() > until) break;
      const scope = [record.company_id as string];
      times.push(await timed(() => page(store, scope, filtersOf(record))));
      floors.push(await timed(() => barePage(store, scope, filtersOf(record))));
    }
    report.add(`page of ${PAGE} by ${name} over ${store.records} records p50`, percentile(times, 0.5), 'ms', {
      floor: percentile(floors, 0.5),
      spread: `p99 ${percentile(times, 0.99).toFixed(1)} ms, ${times.length} queries; ${plan}`,
    });
  }
}

/** What the service does for the list, without gRPC: search, open for a data-protection officer, present with leaf hashes. */
async function page({ collections, keyring }: FilledStore, scope: string[], filters: Filters): Promise<void> {
  const deadline = new Date(Date.now() + 10_000);
  const { records } = await listRecords(collections, scope, filters, { page_size: PAGE, defaultOrder: 'desc', deadline });
  await presentRecords(keyring, records, { payload: true, owner_ip: true });
}

/** The bare query, as the server likes it best: no index named, the most telling field first. */
async function barePage({ db }: FilledStore, [company_id]: string[], { to, ...same }: Filters): Promise<void> {
  const filter = { ...same, company_id, ...(to && { action_at: { $lt: new Date(to) } }) };
  await db.collection('records').find(filter).sort({ action_at: -1, _id: -1 }).limit(PAGE).toArray();
}

/** Records from all over the store. */
async function someRecords({ db, records }: FilledStore, count: number): Promise<Document[]> {
  const random = seeded(count);
  const logs = await db.collection<{ _id: string; size: number }>('logs').find().toArray();
  const ids = Array.from({ length: count }, () => {
    const log = logs[Math.floor(random() * logs.length)] as (typeof logs)[number];
    return `${log._id}.${String(Math.floor(random() * log.size)).padStart(12, '0')}`;
  });
  const found = await db
    .collection('records')
    .find({ _id: { $in: ids as never[] } })
    .toArray();
  if (found.length === 0) throw new Error(`none of ${records} records is found`);
  return found;
}

async function timed(run: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await run();
  return performance.now() - started;
}
