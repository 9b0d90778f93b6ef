import { setTimeout as pause } from 'node:timers/promises';
import { recordId } from '../keys.ts';
import { EntityCheck, examine } from './entities.ts';
import { type Finding, Findings } from './findings.ts';
import type { LogKeys } from './log-keys.ts';
import type { VerifySource } from './source.ts';
import { type RunOptions, StoreWalk, strange, type WalkedLog } from './store-walk.ts';
import type { StoredLog } from './stored-tree.ts';
import { checkUnfinished } from './unfinished.ts';

export interface VerifyOptions extends RunOptions {
  keys: LogKeys;
  /** Faults that are listed; all are counted. */
  limit?: number;
  /**
   * What stands beyond the end of a log at the end: with `restored` it is taken for the unfinished batch of a store that was copied while it
   * ran, when it looks like one; else a consumer is waited for to finish it, for `settleMs`, and then it is a fault.
   */
  restored?: boolean;
  settleMs?: number;
}

export interface VerifiedLog extends WalkedLog {
  /** Records beyond the end, of a batch that was not finished. */
  unfinished: number;
}

export interface VerifyResult {
  ok: boolean;
  /** Records read. */
  checked: number;
  entities: number;
  /** Memory that the entities took, in bytes. */
  entity_bytes: number;
  logs: VerifiedLog[];
  first_bad: Finding | null;
  /** In order, the first ones. */
  findings: Finding[];
  findings_total: number;
  /** Lines of the file outside that are no checkpoints: torn by a crash. */
  torn_lines: number;
}

const LIMIT = 100;
const SETTLE_MS = 30_000;

/**
 * Walks an audit once and compares every record, place, version and flag, every stored tile, root and checkpoint, and every checkpoint kept
 * outside. A store at work is tolerated: each log is verified up to the size that it had at the start. Rejects only when the store or the file cannot be read.
 */
export async function verifyAudit(source: VerifySource, options: VerifyOptions): Promise<VerifyResult> {
  const findings = new Findings(options.limit ?? LIMIT);
  const report = (finding: Finding) => findings.add(finding);
  // The file outside was read before: so what it tells of is in the sizes.
  const logs = await allLogs(source);
  findings.orderLogs(logs.map(({ log_id }) => log_id));
  const entities = new EntityCheck(report);
  const walked = new StoreWalk({ source, keys: options.keys, logs, entities, report });
  await walked.run(options);
  await checkStrangers(source, report);
  await checkNewest(source, logs, report);
  const unfinished = await checkUnfinished(source, walked.ends, { restored: false, settleMs: SETTLE_MS, ...options }, report);
  await examineDoubtful(source, entities, findings, options);
  const list = findings.list();
  return {
    ok: findings.total === 0,
    checked: walked.checked,
    entities: entities.table.size,
    entity_bytes: entities.table.bytes,
    logs: walked.logs.map((log) => ({ ...log, unfinished: unfinished.get(log.log_id) ?? 0 })),
    first_bad: list[0] ?? null,
    findings: list,
    findings_total: findings.total,
    torn_lines: source.outside.torn,
  };
}

/** Every log that anything tells of, in order of its records' ids; one without a document has size 0. */
async function allLogs(source: VerifySource): Promise<StoredLog[]> {
  const [stored, signed] = await Promise.all([source.logs(), source.checkpointLogs()]);
  const byId = new Map(stored.map((log) => [log.log_id, log]));
  for (const log_id of [...signed, ...source.outside.logIds()]) {
    if (!byId.has(log_id)) byId.set(log_id, { log_id, size: 0, next_offset: 0, root: undefined, edge: undefined });
  }
  return [...byId.values()].sort((left, right) => Buffer.compare(idPrefix(left.log_id), idPrefix(right.log_id)));
}

function idPrefix(logId: string): Buffer {
  return Buffer.from(`${logId}.`);
}

async function checkStrangers(source: VerifySource, report: (finding: Finding) => void): Promise<void> {
  for (const id of await source.strangeIds()) report(strange(id));
}

/** A log goes ahead of its checkpoints, never behind: the newest one first, then the log's size, since both may grow meanwhile. */
async function checkNewest(source: VerifySource, logs: readonly StoredLog[], report: (finding: Finding) => void): Promise<void> {
  const newest = await Promise.all(logs.map(({ log_id }) => source.newestCheckpoint(log_id)));
  const sizes = new Map((await source.logs()).map(({ log_id, size }) => [log_id, size]));
  for (const [at, { log_id }] of logs.entries()) {
    const checkpoint = newest[at];
    const size = sizes.get(log_id) ?? 0;
    const signed = Number(checkpoint?._id.slice(log_id.length + 1));
    if (checkpoint !== undefined && signed > size) {
      report({
        reason: 'log_behind_checkpoint',
        log_id,
        leaf_index: size,
        leaf_to: signed - 1,
        record_id: recordId(log_id, size),
        subject: `the checkpoint of size ${signed} in the database`,
        expected: String(signed),
        found: String(size),
      });
    }
  }
}

/** Entities that did not fit are read again, and those that still do not twice more: a store at work is a moving thing. */
async function examineDoubtful(source: VerifySource, entities: EntityCheck, findings: Findings, options: VerifyOptions): Promise<void> {
  let wrong = new Map<string, Finding[]>();
  for (const key of entities.doubtful()) {
    options.signal?.throwIfAborted();
    const found = await look(source, key);
    if (found.length > 0) wrong.set(key, found);
    // As many as are listed; `ok` is false anyway.
    if (wrong.size >= (options.limit ?? LIMIT)) break;
  }
  for (let again = 0; again < LOOKS_AGAIN && wrong.size > 0; again += 1) {
    await pause(Math.min(AGAIN_MS, options.settleMs ?? SETTLE_MS));
    const still = new Map<string, Finding[]>();
    for (const [key, before] of wrong) {
      const now = new Set((await look(source, key)).map(identity));
      const found = before.filter((finding) => now.has(identity(finding)));
      if (found.length > 0) still.set(key, found);
    }
    wrong = still;
  }
  for (const finding of [...wrong.values()].flat()) findings.add(finding);
}

const LOOKS_AGAIN = 2;
const AGAIN_MS = 200;

async function look(source: VerifySource, key: string): Promise<Finding[]> {
  // Sizes first: what is below them is finished, and stays so.
  const sizes = new Map((await source.logs()).map(({ log_id, size }) => [log_id, size]));
  return examine(source.versions(key), (logId) => sizes.get(logId) ?? 0);
}

function identity({ reason, record_id }: Finding): string {
  return `${reason} ${record_id}`;
}
