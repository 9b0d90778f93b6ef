import { setTimeout as pause } from 'node:timers/promises';
import { AppError } from '@biz/errors';
import type { CheckpointDocument, Collections } from '../collections.ts';
import { checkpointOf } from './logs.ts';

/** A record is under a checkpoint two seconds after it at most; a little patience more. */
const PATIENCE_MS = 3_000;
const LOOK_EVERY_MS = 200;

/** The newest checkpoint of a log, once it covers this leaf; AppError `unavailable` when none does within three seconds. */
export async function coveringCheckpoint(
  collections: Collections,
  logId: string,
  leafIndex: number,
  { deadline, signal }: { deadline: Date; signal: AbortSignal },
): Promise<CheckpointDocument> {
  const until = Math.min(Date.now() + PATIENCE_MS, deadline.getTime() - LOOK_EVERY_MS);
  for (;;) {
    const checkpoint = await checkpointOf(collections, logId);
    if (checkpoint !== undefined && checkpoint.size > leafIndex) return checkpoint;
    if (Date.now() >= until) throw new AppError('unavailable', 'The record is not under a checkpoint yet; try again in a moment.');
    await pause(LOOK_EVERY_MS, undefined, { signal });
  }
}
