import { AppError } from '@biz/errors';
import type { Call } from '@biz/rpc';
import { openingFor } from '../query/scope.ts';
import { noteShown } from '../reads/tally.ts';
import { type Entity, type EntityName, findEntity, versionAt } from './entity.ts';
import type { Folded } from './fold.ts';
import type { HistoryParts } from './parts.ts';
import { foldAt, type Mark } from './replay.ts';
import { AnswerText, changesBetween, show, unknownOf } from './show.ts';
import { recordSource } from './source.ts';

/** While it is folded a state may be larger than the answer: ciphertext is longer than what it hides, and fields may go again. */
const FOLD_FACTOR = 8;

export type StateRequest = EntityName & { at?: string; version?: number };

/** An entity's state at a version or time, as the contract's message. Errors: `not_found` for what was not there (yet), and those of the fold. */
export async function entityState(parts: HistoryParts, request: StateRequest, call: Call): Promise<object> {
  const at = timeOf(request);
  const entity = await findEntity(parts.collections, call.context, request);
  const mark = await markOf(parts, entity, request, at, call.signal);
  const [folded] = await folds(parts, entity, [mark], call);
  if (folded?.last == null) throw new AppError('internal', 'a version that was there is gone');
  note(call, entity, folded);
  const [shown] = await show(parts.keyring, [folded], entity.company_id, openingFor(call.context).payload);
  const unknown = unknownOf(folded);
  const asOf = at ?? folded.last.action_at;
  return {
    ...nameOf(request, entity),
    version: folded.version,
    is_active: folded.active,
    deleted: folded.deleted,
    as_of: asOf.toISOString(),
    state: new AnswerText(parts.limits.answerBytes).write(shown?.value ?? null),
    record_id: folded.last.record_id,
    action_type: folded.last.action_type,
    action_at: folded.last.action_at.toISOString(),
    ...(unknown && { unknown }),
    clock_conflict: folded.latest > asOf.getTime(),
  };
}

export type DiffRequest = EntityName & { from?: number; to?: number };

/** What changed between two versions of an entity, as the contract's message. */
export async function entityDiff(parts: HistoryParts, request: DiffRequest, call: Call): Promise<object> {
  const entity = await findEntity(parts.collections, call.context, request);
  const to = request.to ?? entity.newest;
  const from = request.from ?? Math.max(0, to - 1);
  const marks = [from, to].map((version) => ({ version })).sort((one, other) => one.version - other.version);
  if (marks.some(({ version }) => version > entity.newest)) throw noVersion();
  const states = await folds(parts, entity, marks, call);
  const shown = await show(parts.keyring, states, entity.company_id, openingFor(call.context).payload);
  const [first, second] = from <= to ? shown : shown.toReversed();
  const later = states.at(-1);
  if (first === undefined || second === undefined || later === undefined)
    throw new AppError('internal', 'a version that was there is gone');
  note(call, entity, later);
  const texts = new AnswerText(parts.limits.answerBytes);
  const changes = changesBetween(first, second).map((change) => ({
    op: change.op,
    path: change.path,
    ...('before' in change && { before: texts.write(change.before) }),
    ...('after' in change && { after: texts.write(change.after) }),
  }));
  const unknown = unknownOf(later);
  return { ...nameOf(request, entity), from, to, changes, ...(unknown && { unknown }) };
}

function folds(parts: HistoryParts, entity: Entity, marks: readonly Mark[], { context, signal, deadline }: Call): Promise<Folded[]> {
  const { collections, keyring, limits } = parts;
  return parts.gate(signal, () => {
    const open = openingFor(context).payload;
    const reading = { entity_key: entity.key, company_id: entity.company_id, open, signal, deadline };
    return foldAt(recordSource({ collections, keyring, batch: limits.batch }, reading), marks, limits.answerBytes * FOLD_FACTOR);
  });
}

async function markOf(
  { collections }: HistoryParts,
  entity: Entity,
  { version }: StateRequest,
  at: Date | undefined,
  signal: AbortSignal,
): Promise<Mark> {
  if (at === undefined) {
    const wanted = version ?? entity.newest;
    if (wanted > entity.newest) throw noVersion();
    return { version: wanted };
  }
  const last = await versionAt(collections, entity, at, signal);
  if (last === undefined) throw new AppError('not_found', 'The entity had no version at that time.');
  return { version: last, at };
}

/** Tells the record of reads how many records an answer is made of, and whose. */
function note(call: Call, { company_id }: Entity, { records, owners, last }: Folded): void {
  const known = [...owners];
  const shown = Array.from({ length: records }, (_, index) => ({ ownership_id: known[index] ?? known[0] ?? '', company_id }));
  if (last !== null) noteShown(call, shown.with(-1, { ...(shown.at(-1) ?? { ownership_id: '', company_id }), ...last }));
}

function timeOf({ at, version }: StateRequest): Date | undefined {
  if (!at) return undefined;
  const time = new Date(at);
  const faults = [
    ...(version === undefined ? [] : [{ path: '/version', message: 'cannot be given together with at' }]),
    ...(Number.isNaN(time.getTime()) ? [{ path: '/at', message: 'is no point in time' }] : []),
  ];
  if (faults.length > 0) throw new AppError('invalid_request', 'The request does not fit the contract.', { faults });
  return time;
}

function noVersion(): AppError {
  return new AppError('not_found', 'The entity has no such version.');
}

function nameOf({ entity_type, entity_id }: EntityName, { company_id }: Entity): object {
  return { entity_type, entity_id, ...(company_id !== null && { company_id }) };
}
