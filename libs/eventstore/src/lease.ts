import { randomUUID } from 'node:crypto';
import type { Collection, Db } from 'mongodb';
import { isDuplicateKey } from './inserts.ts';

/** A document of `leases`: who does a work that one process at a time does. */
interface LeaseDocument {
  _id: string;
  holder: string | null;
  /** Changes with each renewal: a beat that stands still for the lease's time means that the holder is gone. */
  beat: number;
}

/**
 * One active holder, without comparing anybody's clock: a contender takes over when it has itself seen the same beat for
 * `leaseMs` by its monotonic clock. A paused holder may wake up beside the next one, so the work must bear that.
 */
export interface Lease {
  /** True while this process holds it; renews or contends when due. Errors of the database are thrown. */
  hold(): Promise<boolean>;
  /** Does a work that may take longer than the lease, renewing meanwhile. */
  keep<Result>(work: () => Promise<Result>): Promise<Result>;
  /** Lets it go, so that the next takes it at once. */
  release(): Promise<void>;
}

export function createLease(options: { db: Db; name: string; leaseMs: number }): Lease {
  const { db, name, leaseMs } = options;
  const leases: Collection<LeaseDocument> = db.collection('leases', { writeConcern: { w: 'majority', journal: true } });
  const me = randomUUID();
  let renewedAt: number | undefined;
  let seen: { holder: string | null; beat: number; since: number } | undefined;

  async function renew(): Promise<boolean> {
    const at = performance.now();
    const { matchedCount } = await leases.updateOne({ _id: name, holder: me }, { $inc: { beat: 1 } });
    renewedAt = matchedCount === 1 ? at : undefined;
    return matchedCount === 1;
  }

  async function contend(): Promise<boolean> {
    const at = performance.now();
    const lease = await leases.findOne({ _id: name });
    if (!lease) return take(at, undefined);
    if (!seen || seen.holder !== lease.holder || seen.beat !== lease.beat) seen = { holder: lease.holder, beat: lease.beat, since: at };
    return lease.holder === null || at - seen.since >= leaseMs ? take(at, lease) : false;
  }

  async function take(at: number, lease: LeaseDocument | undefined): Promise<boolean> {
    try {
      const { modifiedCount, upsertedCount } = await leases.updateOne(
        lease ? { _id: name, holder: lease.holder, beat: lease.beat } : { _id: name, holder: me },
        { $set: { holder: me }, $inc: { beat: 1 } },
        { upsert: !lease },
      );
      if (modifiedCount + upsertedCount === 0) return false;
    } catch (error) {
      if (isDuplicateKey(error)) return false; // somebody else was first
      throw error;
    }
    renewedAt = at;
    return true;
  }

  return {
    async hold() {
      if (renewedAt === undefined) return contend();
      return performance.now() - renewedAt < leaseMs / 3 ? true : renew();
    },
    async keep(work) {
      // A renewal that fails shows at the next hold().
      const renewal = setInterval(() => void renew().catch(() => undefined), leaseMs / 3);
      try {
        return await work();
      } finally {
        clearInterval(renewal);
      }
    },
    async release() {
      renewedAt = undefined;
      await leases.updateOne({ _id: name, holder: me }, { $set: { holder: null }, $inc: { beat: 1 } });
    },
  };
}
