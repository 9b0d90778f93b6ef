import { setTimeout as pause } from 'node:timers/promises';
import { AppError } from '@biz/errors';
import type { Collection, Db } from 'mongodb';
import { claimsOf, entityOf } from './fold.ts';
import { isDuplicateKey } from './inserts.ts';
import { loadFresh, type Reading } from './reading.ts';
import type { Claim } from './types.ts';

/** A document of `claims`: a unique value and the stream that has it or is about to. */
export interface ClaimDocument {
  _id: string;
  stream_id: string;
  /** Event ids of the commands that took it: the one that holds it, and any not yet known to have failed. */
  holders: string[];
  /** By the database's clock, so that the clocks of processes do not matter. */
  claimed_at: Date;
}

export interface Claims {
  /**
   * Takes all or none for a stream, ahead of the event that needs them. AppError `already_exists` when another
   * entity has one; `version_conflict` when another command took one and has not yet decided.
   */
  take(stream: string, eventId: string, claims: readonly Claim[]): Promise<void>;
  /** Takes them again when the command has been slow since `takenAt`: they may have been taken over. */
  retakeIfSlow(stream: string, eventId: string, claims: readonly Claim[], takenAt: Clock): Promise<void>;
  /** Gives back what a command took whose event is known not to have been appended. */
  abandon(stream: string, eventId: string, claims: readonly Claim[]): Promise<void>;
  /** Gives back what the entity no longer has since this event. */
  release(stream: string, eventId: string, claims: readonly Claim[]): Promise<void>;
  /** Those that their stream does not hold. */
  unheld(wanted: readonly Wanted[]): Promise<Wanted[]>;
  /** Takes what streams have by their events; gives those that another stream has as well. */
  restore(wanted: readonly Wanted[]): Promise<(Wanted & { conflict: unknown })[]>;
}

/** What a stream has since an event. */
export interface Wanted {
  stream: string;
  eventId: string;
  claim: Claim;
}

interface Parts {
  db: Db;
  claims: Collection<ClaimDocument>;
  reading: Reading;
  graceMs: number;
  patienceMs: number;
}

/**
 * Uniqueness without transactions: claim → append → done. A claim alone means nothing; whoever meets a foreign one asks
 * the events of its holder. Crashes between any two writes, and what is left open, are described in the README.
 */
export function createClaims(parts: Parts): Claims {
  const take: Claims['take'] = async (stream, eventId, claims) => {
    const results = await Promise.allSettled(claims.map((claim) => takeOne(parts, stream, eventId, claim)));
    const failed = results.find((result) => result.status === 'rejected');
    if (!failed) return;
    await abandon(parts, stream, eventId, claims);
    throw failed.reason;
  };
  return {
    take,
    retakeIfSlow: async (stream, eventId, claims, takenAt) => {
      if (claims.length > 0 && elapsedMs(takenAt) > parts.graceMs / 2) await take(stream, eventId, claims);
    },
    abandon: (stream, eventId, claims) => abandon(parts, stream, eventId, claims),
    release: (stream, eventId, claims) => drop(parts, stream, { $lte: eventId }, claims),
    unheld: (wanted) => unheld(parts, wanted),
    restore: async (wanted) => {
      const conflicts: (Wanted & { conflict: unknown })[] = [];
      const keep = (one: Wanted) => (conflict: unknown) => {
        if (!(conflict instanceof AppError)) throw conflict;
        conflicts.push({ ...one, conflict });
      };
      for (const one of await takeAllFree(parts, wanted)) await take(one.stream, one.eventId, [one.claim]).catch(keep(one));
      return conflicts;
    },
  };
}

async function unheld({ claims }: Parts, wanted: readonly Wanted[]): Promise<Wanted[]> {
  const found = await claims.find({ _id: { $in: wanted.map(({ claim }) => claim.key) } }).toArray();
  const holders = new Map(found.map(({ _id, stream_id }) => [_id, stream_id]));
  return wanted.filter(({ claim, stream }) => holders.get(claim.key) !== stream);
}

/** Takes what nobody has, in one command; gives what somebody else has. */
async function takeAllFree(parts: Parts, wanted: readonly Wanted[]): Promise<Wanted[]> {
  if (wanted.length === 0) return [];
  const claimed_at = new Date(await serverTime(parts.db));
  const taken = wanted.map(({ stream, eventId, claim }) => ({ _id: claim.key, stream_id: stream, holders: [eventId], claimed_at }));
  try {
    await parts.claims.insertMany(taken, { ordered: false });
    return [];
  } catch (error) {
    if (!isDuplicateKey(error)) throw error;
    return unheld(parts, wanted);
  }
}

async function takeOne(parts: Parts, stream: string, eventId: string, claim: Claim): Promise<void> {
  const giveUpAt = performance.now() + parts.patienceMs;
  for (;;) {
    if (await takeFree(parts, stream, eventId, claim)) return;
    const held = await parts.claims.findOne({ _id: claim.key });
    if (!held || held.stream_id === stream) continue;
    const { entityType, entityId } = entityOf(held.stream_id);
    const holder = await loadFresh(parts.reading, entityType, entityId);
    if (claimsOf(parts.reading.rules, holder).some(({ key }) => key === claim.key)) throw alreadyExists(claim);
    if ((await serverTime(parts.db)) - held.claimed_at.getTime() > parts.graceMs) {
      if (await takeOver(parts, stream, eventId, held)) return;
      continue;
    }
    if (performance.now() > giveUpAt) {
      throw new AppError('version_conflict', `Another request is about to take this ${claim.name}; try again.`);
    }
    await pause(10 + Math.random() * 40);
  }
}

/** Takes a claim that is free or already this stream's; false when another stream has it. */
async function takeFree({ claims }: Parts, stream: string, eventId: string, claim: Claim): Promise<boolean> {
  try {
    await claims.updateOne(
      { _id: claim.key, stream_id: stream },
      { $addToSet: { holders: eventId }, $currentDate: { claimed_at: true } },
      { upsert: true },
    );
    return true;
  } catch (error) {
    if (isDuplicateKey(error)) return false;
    throw error;
  }
}

/** Takes over an abandoned claim, if it is still as it was seen. */
async function takeOver({ claims }: Parts, stream: string, eventId: string, seen: ClaimDocument): Promise<boolean> {
  const { modifiedCount } = await claims.updateOne(
    { _id: seen._id, stream_id: seen.stream_id, holders: seen.holders, claimed_at: seen.claimed_at },
    { $set: { stream_id: stream, holders: [eventId] }, $currentDate: { claimed_at: true } },
  );
  return modifiedCount === 1;
}

async function abandon(parts: Parts, stream: string, eventId: string, claims: readonly Claim[]): Promise<void> {
  // Best effort: what stays is taken over after the grace by whoever wants it.
  await drop(parts, stream, eventId, claims).catch(() => undefined);
}

/** Takes commands out of the holders; a claim that no command holds any more goes. */
async function drop({ claims }: Parts, stream: string, holder: string | { $lte: string }, dropped: readonly Claim[]): Promise<void> {
  for (const { key } of dropped) {
    await claims.updateOne({ _id: key, stream_id: stream }, { $pull: { holders: holder } });
    await claims.deleteOne({ _id: key, stream_id: stream, holders: { $size: 0 } });
  }
}

/** Milliseconds of the database's clock. */
async function serverTime(db: Db): Promise<number> {
  const { localTime } = await db.command({ hello: 1 });
  return (localTime as Date).getTime();
}

function alreadyExists(claim: Claim): AppError {
  return new AppError('already_exists', `This ${claim.name} is already in use.`, {
    faults: [{ path: `/${claim.name}`, message: 'is already in use' }],
  });
}

/** A moment by two clocks: the monotonic one stands still while a machine is suspended, the other may be set. */
export interface Clock {
  monotonic: number;
  wall: number;
}

export function clock(): Clock {
  return { monotonic: performance.now(), wall: Date.now() };
}

function elapsedMs(since: Clock): number {
  return Math.max(performance.now() - since.monotonic, Date.now() - since.wall);
}
