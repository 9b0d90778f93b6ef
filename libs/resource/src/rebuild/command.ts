import { toAppError } from '@biz/errors';
import { addRestored, type EventStore, emptyRestoreReport, type Mark, type RestoreReport } from '@biz/eventstore';
import type { Contract } from '@biz/protos';
import { assertRestored, connectMongo, createLog, foldedAfterRestore } from '@biz/service';
import { openStore, type StoreModels } from '../store.ts';
import { type RebuildArguments, type RebuildConfig, readArguments, readRebuildConfig, usage } from './config.ts';
import { replayed } from './replay.ts';
import { createProgress, number, rebuildLines, restoreLines, totals } from './say.ts';

export interface RebuildSubject {
  /** Name of the process, for example `cost-center`. */
  name: string;
  contract: Contract;
  models: StoreModels;
  marks?: readonly Mark[];
}

/** How a rebuild ends: all is as it should be; something differs (dry run) or could not be made right; it could not be done. */
const exits = { done: 0, differs: 1, failed: 2 } as const;

interface Parts {
  subject: RebuildSubject;
  store: EventStore;
  given: RebuildArguments;
  audit: RebuildConfig['audit'];
  print: (line: string) => void;
  progress: (text: string) => void;
}

/** The whole of a service's `src/rebuild.ts`: what `rebuildService` does with the process's arguments and environment; sets the exit code. */
export async function runRebuild(subject: RebuildSubject): Promise<void> {
  process.exitCode = await rebuildService(subject, process.argv.slice(2), process.env, (line) => console.log(line));
}

/**
 * Makes `current` again from the events, and with `--from-audit` first the events from the audit; `--dry-run` only compares. Prints what
 * it finds. Gives 0, or 1 when something differs or could not be made right, or 2 when it could not be done. The service may run
 * meanwhile. Killed, it is run again.
 */
export async function rebuildService(
  subject: RebuildSubject,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  print: (line: string) => void,
): Promise<number> {
  try {
    const given = readArguments(args);
    const config = await readRebuildConfig(subject.name, given, env);
    const progress = createProgress(print);
    return await connected(config, subject, (store) => work({ subject, store, given, audit: config.audit, print, progress }));
  } catch (error) {
    const { code } = (error ?? {}) as { code?: string };
    print(`${subject.name} could not be rebuilt: ${reasonOf(error)}${code?.startsWith('ERR_PARSE_ARGS') ? `\n${usage}` : ''}`);
    return exits.failed;
  }
}

async function connected<Result>(
  config: RebuildConfig,
  subject: RebuildSubject,
  use: (store: EventStore) => Promise<Result>,
): Promise<Result> {
  const mongo = connectMongo(config.MONGODB_URL, { appName: `${subject.name} rebuild` });
  try {
    const log = createLog(`${subject.name}-rebuild`, config.LOG_LEVEL === 'info' ? 'error' : config.LOG_LEVEL);
    return await use(openStore(mongo.db(config.MONGODB_DATABASE), { ...subject, log }));
  } finally {
    await mongo.close();
  }
}

async function work(parts: Parts): Promise<number> {
  const { subject, store, given, print, progress } = parts;
  const started = performance.now();
  await assertRestored(store.db, { mayFold: true });
  // a collection that was dropped has lost what keeps it right
  if (!given.dryRun) await store.ensureIndexes();
  const restored = given.fromAudit ? await restore(parts) : undefined;
  const found = restored?.differing.count ?? 0;
  if (given.dryRun && restored && restored.missing.count > 0) {
    print(`${subject.name}: current is not compared while events are missing; nothing was changed (${since(started)})`);
    return exits.differs;
  }
  const all = await store.events.estimatedDocumentCount();
  const onProgress = (events: number) => progress(`${number(events)} of ${number(all)} events folded`);
  const report = await store.rebuild({ dryRun: given.dryRun, onProgress });
  // what cannot be folded is named below, and keeps nothing else from starting
  if (!given.dryRun) await foldedAfterRestore(store.db);
  for (const line of rebuildLines(report)) print(line);
  const { compared, written, removed, left } = totals(report);
  const inserted = restored ? `${number(restored.missing.count)} events inserted, ` : '';
  const differing = written + removed + left + report.claims + found;
  print(
    given.dryRun
      ? `${subject.name}: ${number(compared)} entities compared, ${number(differing)} differences; nothing was changed (${since(started)})`
      : `${subject.name}: ${inserted}${number(compared)} entities compared, ${number(written)} written, ${number(removed)} removed, ${number(left + found)} left as they are (${since(started)})`,
  );
  return (given.dryRun ? differing : left + found) > 0 ? exits.differs : exits.done;
}

async function restore({ subject, store, given, audit, print, progress }: Parts): Promise<RestoreReport> {
  if (!audit) throw new Error('where the audit is, is not known');
  const sum = emptyRestoreReport();
  for await (const { events, done, total } of replayed(subject.contract, subject.name, audit)) {
    if (events.length > 0) addRestored(sum, await store.restore(events, { dryRun: given.dryRun }));
    progress(`${number(done)} of ${number(total)} records of the audit looked at, ${number(sum.events)} events of ${subject.name}`);
  }
  for (const line of restoreLines(sum)) print(line);
  return sum;
}

function reasonOf(error: unknown): string {
  const { code, message, cause } = toAppError(error);
  // what is internal to a service is what a person at a terminal has to know
  return code === 'internal' && cause instanceof Error ? cause.message : `${message}${cause instanceof Error ? ` (${cause.message})` : ''}`;
}

function since(started: number): string {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}
