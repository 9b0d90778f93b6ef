import { AppError } from '@biz/errors';
import { startWorker, type Worker } from '@biz/eventstore';
import type { Keyring } from '@biz/sealing';
import type { Db } from 'mongodb';
import type { KeycloakAdmin } from '../keycloak.ts';
import { type Cursor, createCursorStore } from './cursor.ts';
import { type Draft, draftOf, eventTypes, fold, unknownName } from './draft.ts';
import { eventsSince, type KeycloakEvent, usersOf } from './keycloak-events.ts';

export type LoginEventsOptions = {
  readonly db: Db;
  readonly keycloak: KeycloakAdmin;
  readonly keyring: Pick<Keyring, 'blindIndexes'>;
  /** Hands a batch over for good; a batch may come again. */
  readonly record: (events: readonly Draft[]) => Promise<void>;
  /** How often Keycloak is asked, in milliseconds. */
  readonly pollMs: number;
  /** An event may appear in Keycloak so much later than its time says (clocks of its nodes, open transactions), in milliseconds. */
  readonly overlapMs: number;
  readonly maxBackoffMs?: number;
  readonly log: { warn(details: object, message: string): void; error(details: object, message: string): void };
};

/** Most events told at once; what the recording RPC takes. */
const mostAtOnce = 500;

/**
 * Tells what Keycloak's own event store holds of logins, logouts and renewals as security events, each once: over restarts by the kept cursor,
 * in a repetition by ids that follow from Keycloak's. While Keycloak or the recording is away everything waits where it is, in Keycloak.
 */
export function tellLogins(options: LoginEventsOptions): Worker {
  const { db, log, pollMs, maxBackoffMs = 30_000 } = options;
  const cursors = createCursorStore(db);

  async function work(): Promise<boolean> {
    const cursor = await cursors.load();
    const fresh = await freshEvents(options, cursor);
    const { groups, planned } = planOf(cursor, fresh);
    if (groups.length === 0 && !planned) return false;
    if (planned) return tell(cursor, groups);
    const plan = groups.map((group) => group.map(({ id }) => id));
    if (!(await cursors.save(cursor, { ...cursor, plan }))) return true;
    await tell({ ...cursor, plan, revision: cursor.revision + 1 }, groups);
    return fresh.length >= mostAtOnce;
  }

  async function tell(cursor: Cursor, groups: readonly KeycloakEvent[][]): Promise<true> {
    await recordAll(options, await draftsOf(options, groups));
    await cursors.save(cursor, advanced(cursor, groups.flat(), options.overlapMs));
    return true;
  }

  return startWorker({ db, lease: 'login_events', work, pollMs, maxBackoffMs, log });
}

/** Events that were not told, the oldest first: at most one batch, or as far as the plan reaches. */
async function freshEvents({ keycloak, overlapMs }: LoginEventsOptions, { since, seen, plan }: Cursor): Promise<KeycloakEvent[]> {
  const told = new Set(seen.map(({ id }) => id));
  const missing = new Set(plan.flat());
  const enough = missing.size > 0 ? () => missing.size === 0 : () => fresh.length >= mostAtOnce;
  const fresh: KeycloakEvent[] = [];
  for await (const event of eventsSince(keycloak, eventTypes, Math.max(0, since - overlapMs))) {
    if (told.has(event.id)) continue;
    missing.delete(event.id);
    fresh.push(event);
    if (enough()) break;
  }
  return fresh;
}

/** What to tell: what a process before began to (but for events that Keycloak has dropped meanwhile), else what is new. */
function planOf({ plan }: Cursor, fresh: readonly KeycloakEvent[]): { groups: KeycloakEvent[][]; planned: boolean } {
  if (plan.length === 0) return { groups: fold(fresh), planned: false };
  const byId = new Map(fresh.map((event) => [event.id, event]));
  const groups = plan.map((ids) => ids.flatMap((id) => byId.get(id) ?? [])).filter((group) => group.length > 0);
  return { groups, planned: true };
}

/** One event that is never taken must not hold up the others. */
async function recordAll({ record, log }: Pick<LoginEventsOptions, 'record' | 'log'>, drafts: readonly Draft[]): Promise<void> {
  if (drafts.length === 0) return;
  try {
    await record(drafts);
  } catch (error) {
    if (!(error instanceof AppError && error.code === 'invalid_request')) throw error;
    const [draft] = drafts;
    if (drafts.length > 1) for (const each of drafts) await recordAll({ record, log }, [each]);
    else log.error({ faults: error.faults, trace_id: draft?.trace_id, action: draft?.action }, 'ALERT an event of Keycloak is not taken');
  }
}

async function draftsOf({ keycloak, keyring }: LoginEventsOptions, groups: readonly KeycloakEvent[][]): Promise<Draft[]> {
  const firsts = groups.flatMap(([first]) => first ?? []);
  const users = await usersOf(
    keycloak,
    firsts.flatMap(({ userId }) => userId ?? []),
  );
  const names = [...new Set(firsts.flatMap((event) => unknownName(event) ?? []))];
  const indexes = names.length === 0 ? [] : await keyring.blindIndexes(names.map((value) => ({ company_id: null, kind: 'email', value })));
  const indexOf = new Map(names.map((name, at) => [name, indexes[at]]));
  return groups.map((group, at) => {
    const first = firsts[at] as KeycloakEvent;
    return draftOf(group, users.get(first.userId ?? ''), indexOf.get(unknownName(first) ?? ''));
  });
}

function advanced({ since, seen }: Cursor, told: readonly KeycloakEvent[], overlapMs: number): Omit<Cursor, 'revision'> {
  const newest = told.reduce((latest, { time }) => Math.max(latest, time), since);
  const all = [...seen, ...told.map(({ id, time }) => ({ id, time }))];
  return { since: newest, seen: all.filter(({ time }) => time >= newest - overlapMs), plan: [] };
}
