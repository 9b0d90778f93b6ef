import { setTimeout as pause } from 'node:timers/promises';
import type { Document } from 'mongodb';
import { recordId } from '../keys.ts';
import type { Finding } from './findings.ts';
import type { VerifySource } from './source.ts';

/** Places beyond the end of a log that one batch can reach. */
const MOST_UNFINISHED = 100_000;
const LOOK_EVERY_MS = 500;

/**
 * Records beyond the end of their log: a batch that was begun and not finished, or records that somebody put there. A consumer at work
 * finishes them within seconds, after a crash within its session time-out; in a copy of a store nobody does, and they must at least
 * look as a batch does. Gives back how many there are of each log.
 */
export async function checkUnfinished(
  source: VerifySource,
  logIds: ReadonlySet<string>,
  { restored, settleMs }: { restored: boolean; settleMs: number },
  report: (finding: Finding) => void,
): Promise<Map<string, number>> {
  const until = performance.now() + settleMs;
  const left = await beyond(source, logIds);
  while (!restored && left.size > 0 && performance.now() < until) {
    await pause(Math.min(LOOK_EVERY_MS, settleMs));
    await dropFinished(source, left);
  }
  for (const [logId, { size, next_offset, records }] of left) {
    for (const record of records) {
      const fault = faultOf(record, logId, size, next_offset);
      if (fault !== undefined) report(finding('record_unexpected', record, logId, fault));
      else if (!restored) report(finding('record_unfinished', record, logId, `the end of log ${logId} at ${size}`));
    }
  }
  return new Map([...left].map(([logId, { records }]) => [logId, records.length]));
}

interface Beyond {
  size: number;
  next_offset: number;
  records: Document[];
}

async function beyond(source: VerifySource, logIds: ReadonlySet<string>): Promise<Map<string, Beyond>> {
  const logs = new Map((await source.logs()).map((log) => [log.log_id, log]));
  const found = new Map<string, Beyond>();
  for (const logId of logIds) {
    const { size = 0, next_offset = 0 } = logs.get(logId) ?? {};
    const records = await source.recordsFrom(logId, size);
    if (records.length > 0) found.set(logId, { size, next_offset, records });
  }
  return found;
}

/** Forgets the records that their log has passed meanwhile. Others that came since are none of ours: there is always a batch at work. */
async function dropFinished(source: VerifySource, left: Map<string, Beyond>): Promise<void> {
  for (const { log_id, size, next_offset } of await source.logs()) {
    const { records = [] } = left.get(log_id) ?? {};
    const still = records.filter(({ _id }) => recordId(log_id, size) <= _id);
    if (still.length > 0) left.set(log_id, { size, next_offset, records: still });
    else left.delete(log_id);
  }
}

/** Why a record cannot be of an unfinished batch; undefined when it can. */
function faultOf(record: Document, logId: string, size: number, nextOffset: number): string | undefined {
  const index = Number(record.leaf_index);
  if (record.log_id !== logId || recordId(logId, index) !== record._id) return 'its fields log_id and leaf_index';
  if (index >= size + MOST_UNFINISHED) return `the end of log ${logId} at ${size}, which no batch reaches so far beyond`;
  if (record.kind === 'event' && !(record.offset >= nextOffset)) return `the end of log ${logId}, which is past its offset`;
  return undefined;
}

function finding(reason: Finding['reason'], record: Document, logId: string, subject: string): Finding {
  const id = String(record._id);
  return { reason, log_id: logId, leaf_index: Number(id.slice(id.lastIndexOf('.') + 1)), record_id: id, subject };
}
