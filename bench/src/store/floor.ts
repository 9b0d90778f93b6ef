import type { Document } from 'mongodb';
import { Progress } from '../progress.ts';
import type { FilledStore } from './filled.ts';

const BATCH = 2_000;
const LOOK_EVERY_MS = 20;

/** Reads every record of the store in order of ids and does nothing with it: the floor of all that walks the store. Gives back records a second. */
export async function bareWalk({ db, records }: FilledStore): Promise<number> {
  const progress = new Progress('bare read', records);
  const started = performance.now();
  const cursor = db.collection<Document>('records').find().sort({ _id: 1 }).batchSize(BATCH);
  let count = 0;
  while (await cursor.hasNext()) {
    const batch = cursor.readBufferedDocuments().length;
    count += batch;
    progress.add(batch);
  }
  if (count !== records) throw new Error(`${count} of ${records} records were read`);
  return perSecond(count, started);
}

export function perSecond(count: number, startedAt: number): number {
  return (count / (performance.now() - startedAt)) * 1000;
}

/** Runs it and tells by how many MiB the resident memory of this process grew at most meanwhile. */
export async function withPeak<T>(run: () => Promise<T>): Promise<{ result: T; grownMiB: number }> {
  const before = process.memoryUsage.rss();
  let peak = before;
  const look = () => {
    peak = Math.max(peak, process.memoryUsage.rss());
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  try {
    const result = await run();
    look();
    return { result, grownMiB: (peak - before) / 2 ** 20 };
  } finally {
    clearInterval(timer);
  }
}
