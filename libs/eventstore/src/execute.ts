import { setTimeout as pause } from 'node:timers/promises';
import { AppError, isUnavailable } from '@biz/errors';
import { BSON } from 'mongodb';
import { clock } from './claims.ts';
import { claimsOf, evolve, nextEventId, streamId } from './fold.ts';
import { isDuplicateKey } from './inserts.ts';
import { noMarks, type StoreParts } from './parts.ts';
import { catchUp, ensureCurrent, load, saveCurrent } from './reading.ts';
import { schemaVersionOf } from './schema.ts';
import type { Claim, CurrentDocument, Draft, EventDocument, Fence, Idempotency } from './types.ts';

/** What the event will be, for a decision that seals values bound to it. */
export interface Next {
  event_id: string;
  version: number;
  at: string;
}

export interface Command {
  entityType: string;
  entityId: string;
  /** The entity is new: nothing is read before the append, which finds out if it is not. */
  creates?: boolean;
  /** Whether the caller may know of the entity at all; throws what it throws. Comes before the version is compared. */
  admit?: (entity: CurrentDocument | undefined) => void;
  /**
   * The event that follows from the present state, or null when nothing changes. Called again after a lost race, so it
   * has no effects of its own. What it throws is thrown, once the state is known to be the newest.
   */
  decide: (entity: CurrentDocument | undefined, next: Next) => Draft | null | Promise<Draft | null>;
  /**
   * Name of an order that the decision must stand in, when it looks at more entities than its own (a tree, a total): of
   * two such decisions at once one is taken again. Within `decide`, `current` holds every earlier event of that order.
   */
  fence?: (entity: CurrentDocument | undefined) => string | undefined;
  /** Refused with `version_mismatch` unless the entity is at this version. */
  expectedVersion?: number;
  idempotency?: Idempotency;
  /** How often to decide again after a lost race. 10 when not given; 0 gives `version_conflict` at once. */
  retries?: number;
  /** A caller that went away: nothing is appended any more. */
  signal?: AbortSignal;
}

export interface Executed {
  /** The fold at the event, or the entity as it is when nothing changed. */
  entity: CurrentDocument;
  /** The event; null when nothing changed. */
  event: EventDocument | null;
  /** The command had been done before, by its idempotency key: this is the answer of that time. */
  replayed: boolean;
}

/**
 * One command: read → decide → claim → append (the commit) → `current`. AppError `version_mismatch`,
 * `version_conflict`, `already_exists`, `idempotency_conflict`, `too_large`, and what `decide` throws.
 */
export async function execute(parts: StoreParts, command: Command): Promise<Executed> {
  try {
    const executed = await run(parts, command);
    // A repeated command finds its change made already; its answer is still that of the first time.
    const replay = executed.event ? undefined : await findReplay(parts, command);
    return replay ?? executed;
  } catch (error) {
    // With the engine away there is nothing to look up now; a repetition will.
    const replay = isUnavailable(error) ? undefined : await findReplay(parts, command);
    if (replay) return replay;
    throw error;
  }
}

async function run(parts: StoreParts, command: Command): Promise<Executed> {
  const { entityType, entityId, retries = 10 } = command;
  let { entity, fresh } = command.creates ? { entity: undefined, fresh: true } : await load(parts, entityType, entityId);
  for (let races = 0; ; ) {
    const decision = await decide(parts, command, entity);
    if ('append' in decision) {
      const done = await commit(parts, command, entity, decision.append);
      if (done) return done;
      if (++races > retries) throw new AppError('version_conflict', 'The entity is being changed by others at the same moment.');
      await pause(Math.random() * 5 * races);
    } else if (fresh) {
      if ('refused' in decision) throw decision.refused;
      return { entity: present(entity), event: null, replayed: false };
    }
    // Lost a race, or about to answer without an event: the events say what the newest state is.
    entity = await catchUp(parts, entityType, entityId, entity);
    fresh = true;
  }
}

type Decision = { append: EventDocument } | { refused: unknown } | { unchanged: true };

async function decide(parts: StoreParts, command: Command, entity: CurrentDocument | undefined): Promise<Decision> {
  const now = parts.now();
  const next = {
    event_id: nextEventId(entity?.last_event_id, now.getTime()),
    version: (entity?.version ?? 0) + 1,
    at: now.toISOString(),
  };
  try {
    command.admit?.(entity);
    if (command.expectedVersion !== undefined && command.expectedVersion !== next.version - 1) {
      throw new AppError('version_mismatch', `The present version is ${next.version - 1}, not ${command.expectedVersion}.`);
    }
    const fence = await nextFence(parts, command.fence?.(entity));
    const draft = await command.decide(entity, next);
    return draft ? { append: eventOf(parts, command, next, draft, fence) } : { unchanged: true };
  } catch (refused) {
    if (isUnavailable(refused)) throw refused;
    return { refused };
  }
}

/** The next place in an order; its last event is folded into `current` first, as every earlier one was by its successor. */
async function nextFence(parts: StoreParts, key: string | undefined): Promise<Fence | undefined> {
  if (key === undefined) return undefined;
  const [last] = await parts.events.find({ 'fence.key': key }).sort({ 'fence.key': -1, 'fence.number': -1 }).limit(1).toArray();
  if (last) await ensureCurrent(parts, [last], { strict: true });
  return { key, number: (last?.fence?.number ?? 0) + 1 };
}

function eventOf(
  parts: StoreParts,
  { entityType, entityId, idempotency }: Command,
  next: Next,
  draft: Draft,
  fence: Fence | undefined,
): EventDocument {
  const event: EventDocument = {
    _id: next.event_id,
    stream_id: streamId(entityType, entityId),
    version: next.version,
    type: draft.type,
    schema_version: schemaVersionOf(parts.rules[entityType]),
    data: draft.data,
    at: next.at,
    meta: { entity_type: entityType, entity_id: entityId, ...draft.meta },
    ...(idempotency && { idempotency }),
    ...(fence && { fence }),
    published_at: null,
    ...noMarks(parts.marks),
  };
  if (BSON.calculateObjectSize(event) > parts.maxEventBytes) {
    throw new AppError('too_large', `A change may hold at most ${parts.maxEventBytes} bytes.`);
  }
  return event;
}

/** Claims and appends; undefined when another event was faster. */
async function commit(
  parts: StoreParts,
  command: Command,
  before: CurrentDocument | undefined,
  event: EventDocument,
): Promise<Executed | undefined> {
  const after = evolve(parts.rules, before, event);
  const had = claimsOf(parts.rules, before);
  const has = claimsOf(parts.rules, after);
  const gained = without(has, had);
  const takenAt = clock();
  await parts.claims.take(event.stream_id, event._id, gained);
  await parts.claims.retakeIfSlow(event.stream_id, event._id, gained, takenAt);
  if (command.signal?.aborted || !(await append(parts, event))) {
    await parts.claims.abandon(event.stream_id, event._id, gained);
    command.signal?.throwIfAborted();
    return findReplay(parts, command);
  }
  await settle(parts, after, event, without(had, has));
  return { entity: after, event, replayed: false };
}

/** The commit. False when the version, the place in an order, or the idempotency key is already taken. */
async function append(parts: StoreParts, event: EventDocument): Promise<boolean> {
  try {
    await parts.events.insertOne(event);
    return true;
  } catch (error) {
    if (!isDuplicateKey(error)) throw error;
    // The driver sends again after a broken connection: then it is our own event that is there.
    return (await parts.events.countDocuments({ _id: event._id }, { limit: 1 })) === 1;
  }
}

/** What follows from the commit. None of it can undo the answer; what fails here is made good by the relay or a repair. */
async function settle(parts: StoreParts, entity: CurrentDocument, event: EventDocument, lost: Claim[]): Promise<void> {
  const results = await Promise.allSettled([saveCurrent(parts, entity), parts.claims.release(event.stream_id, event._id, lost)]);
  for (const result of results) {
    if (result.status === 'rejected') {
      parts.log.warn(
        { err: result.reason, event_id: event._id, stream_id: event.stream_id },
        'appended, but not all that follows was written',
      );
    }
  }
  parts.appended();
}

/** The answer of the first time; undefined when the command has no key or was not done before. */
async function findReplay(parts: StoreParts, { entityType, idempotency }: Command): Promise<Executed | undefined> {
  if (!idempotency) return undefined;
  const event = await parts.events.findOne({ 'idempotency.actor': idempotency.actor, 'idempotency.key': idempotency.key });
  if (!event) return undefined;
  if (event.idempotency?.hash !== idempotency.hash) {
    throw new AppError('idempotency_conflict', 'This Idempotency-Key was used for another request.');
  }
  const entity = await catchUp(parts, entityType, event.meta.entity_id, undefined, event.version);
  return { entity: present(entity), event, replayed: true };
}

function without(claims: readonly Claim[], others: readonly Claim[]): Claim[] {
  return claims.filter(({ key }) => !others.some((other) => other.key === key));
}

function present(entity: CurrentDocument | undefined): CurrentDocument {
  if (!entity) throw new AppError('internal', 'a command changed nothing of an entity that is not there');
  return entity;
}
