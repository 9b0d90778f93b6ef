import { AppError, type Withheld } from '@biz/errors';
import type { CallContext } from '@biz/rpc';
import type { Collections } from '../collections.ts';
import { foreignTo } from '../query/foreign.ts';
import { entityKeys } from '../query/records.ts';
import { narrow, scopeOf } from '../query/scope.ts';
import { newestVersion } from '../query/version-page.ts';
import { originalOf, type RecordDocument } from '../record.ts';

/** An entity of the audit, as a call names it. */
export interface EntityName {
  entity_type: string;
  entity_id: string;
  company_id?: string;
}

export interface Entity {
  key: string;
  company_id: string | null;
  /** Its newest version; all below it exist. */
  newest: number;
}

/** The entity that the caller means; AppError `not_found`, also for another company's, or `company_required` when several companies have the id. */
export async function findEntity(collections: Collections, context: CallContext, name: EntityName): Promise<Entity> {
  const scope = narrow(scopeOf(context), name.company_id);
  const keys = scope !== 'all' && scope.length === 0 ? [] : await entityKeys(collections, scope, name.entity_type, name.entity_id);
  const [first, second] = await firstRecords(collections, keys);
  if (first === undefined) throw noEntity(await foreignTo(collections, context, name));
  if (second !== undefined) throw new AppError('company_required', 'Several companies have an entity with this id: name one.');
  const newest = await newestVersion(collections, first.entity_key);
  return { key: first.entity_key, company_id: originalOf(first, 'company_id', first.company_id), newest };
}

type FirstRecord = Pick<RecordDocument, 'entity_key' | 'company_id' | 'long'>;

/** The first version, with which every entity begins, of at most two of them. */
async function firstRecords({ events }: Collections, keys: readonly string[]): Promise<FirstRecord[]> {
  const found: FirstRecord[] = [];
  for (const entity_key of keys) {
    const first = await events.findOne({ entity_key, version: 1 }, { projection: { entity_key: 1, company_id: 1, long: 1 } });
    if (first !== null) found.push(first);
    if (found.length === 2) break;
  }
  return found;
}

/** Versions of which one query gets the times. */
const TIMES_AT_ONCE = 5_000;

/** The newest version of those that happened at a time or before; undefined when none did. Looked for from the newest on, in exact ranges (see source.ts). */
export async function versionAt(
  { events }: Collections,
  { key, newest }: Entity,
  at: Date,
  signal: AbortSignal,
): Promise<number | undefined> {
  for (let upTo = newest; upTo > 0; upTo -= TIMES_AT_ONCE) {
    const times = await events
      .find({ entity_key: key, version: { $gt: upTo - TIMES_AT_ONCE, $lte: upTo } })
      .project<{ version: number; action_at: Date }>({ _id: 0, version: 1, action_at: 1 })
      .sort({ version: -1 })
      .batchSize(TIMES_AT_ONCE + 1)
      .toArray();
    const last = times.find(({ version, action_at }) => version >= 1 && action_at <= at);
    if (last !== undefined) return last.version;
    signal.throwIfAborted();
  }
  return undefined;
}

/** `withheld`: see `foreignTo`. */
export function noEntity(withheld?: Withheld): AppError {
  return new AppError('not_found', 'There is no such entity in the audit.', { withheld });
}
