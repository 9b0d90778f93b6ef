import { AppError } from '@biz/errors';
import type { Outbox, OwnEvent } from '@biz/eventstore';
import type { Log } from '@biz/service';
import type { Collection } from 'mongodb';

/** A read that has begun to be answered, kept until it is recorded. */
export interface OpenReadDocument {
  _id: string;
  /** Its event if nobody hears of it again; the count grows with the beats. */
  event: OwnEvent;
  /** Stands still when the process is gone. */
  beat: number;
}

export interface OpenRead {
  /** Aborted when others have taken the read for interrupted and recorded it: nothing more may be shown. */
  readonly signal: AbortSignal;
  /** Records how it ended; from then on the read is closed. */
  end(event: OwnEvent): Promise<void>;
}

/** Where reads are recorded. A write that fails is AppError `unavailable`: what cannot be recorded is not to be shown. */
export interface ReadLog extends AsyncDisposable {
  /** A read that is answered at once. Resolves when its event is durable. */
  record(event: OwnEvent): Promise<void>;
  /**
   * A read that takes a while. From when it resolves on there will be an event with this id, whatever happens: the one of its end, or the
   * one that `interrupted` gave at the last beat, once the process has given no sign of life for a while.
   */
  begin(id: string, interrupted: () => OwnEvent): Promise<OpenRead>;
}

export interface ReadLogOptions {
  outbox: Outbox;
  /** Reads that are being answered. */
  openReads: Collection<OpenReadDocument>;
  log: Pick<Log, 'warn'>;
  /** How often a process tells that its reads go on, in ms; a twelfth of the patience when not given. */
  beatMs?: number;
  /** After this long without a beat a read is recorded as interrupted, in ms; by our own clock, so nobody's is compared. */
  patienceMs?: number;
}

interface Own {
  interrupted: () => OwnEvent;
  /** Its document was written: only then is it missed. */
  there: boolean;
  gone: AbortController;
}

export function createReadLog(options: ReadLogOptions): ReadLog {
  const { outbox, openReads, log, patienceMs = 60_000, beatMs = patienceMs / 12 } = options;
  const own = new Map<string, Own>();
  const seen = new Map<string, { beat: number; since: number }>();

  /** Tells that the reads of this process go on, and how far they are. */
  async function beat(): Promise<void> {
    const mine = [...own].filter(([, { there }]) => there);
    if (mine.length === 0) return;
    const updates = mine.map(([_id, { interrupted }]) => ({
      updateOne: { filter: { _id }, update: { $inc: { beat: 1 }, $set: { event: interrupted() } } },
    }));
    const { matchedCount } = await openReads.bulkWrite(updates, { ordered: false });
    if (matchedCount === mine.length) return;
    const there = await openReads.find({ _id: { $in: mine.map(([id]) => id) } }, { projection: { _id: 1 } }).toArray();
    const ids = new Set(there.map(({ _id }) => _id));
    for (const [id, { gone }] of mine) {
      // One that has ended meanwhile is not there either, and hears nothing.
      if (!ids.has(id)) gone.abort(new AppError('unavailable', 'The audit lost track of this read; begin it again.'));
    }
  }

  /** Records the reads of processes that are gone. Two that do so at once record the same event. */
  async function sweep(): Promise<void> {
    const now = performance.now();
    const open = await openReads.find({ _id: { $nin: [...own.keys()] } }).toArray();
    for (const { _id, event, beat } of open) {
      const before = seen.get(_id);
      if (before === undefined || before.beat !== beat) seen.set(_id, { beat, since: now });
      else if (now - before.since >= patienceMs) {
        await outbox.append([event]);
        await openReads.deleteOne({ _id });
      }
    }
    const there = new Set(open.map(({ _id }) => _id));
    for (const id of seen.keys()) if (!there.has(id)) seen.delete(id);
  }

  const timer = repeat(beatMs, async () => {
    try {
      await beat();
      await sweep();
    } catch (error) {
      log.warn({ err: error }, 'reads in hand could not be looked after; trying again');
    }
  });

  return {
    record: (event) => outbox.append([event]),
    async begin(id, interrupted) {
      const gone = new AbortController();
      // Before it is there, so that our own sweep never takes it for somebody else's.
      const mine = { interrupted, there: false, gone };
      own.set(id, mine);
      try {
        await openReads.insertOne({ _id: id, event: interrupted(), beat: 0 });
      } catch (cause) {
        own.delete(id);
        throw new AppError('unavailable', 'The audit cannot record this read; try again in a moment.', { cause });
      }
      mine.there = true;
      return {
        signal: gone.signal,
        async end(ended) {
          try {
            await outbox.append([ended]);
            await openReads.deleteOne({ _id: id });
          } finally {
            // What could not be written is left to the sweep: the event id is the same.
            own.delete(id);
          }
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await timer.stop();
    },
  };
}

function repeat(everyMs: number, work: () => Promise<void>): { stop: () => Promise<void> } {
  let stopped = false;
  let running = Promise.resolve();
  let timer: NodeJS.Timeout;
  const next = () => {
    timer = setTimeout(() => {
      running = work().then(() => {
        if (!stopped) next();
      });
    }, everyMs);
  };
  next();
  return {
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      return running;
    },
  };
}
