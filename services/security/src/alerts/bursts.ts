/** What counts towards a rule, for one of its keys. */
export interface Hit {
  event_id: string;
  /** When it happened, milliseconds since the epoch, as its producer says. */
  at: number;
  /** How often; a folded event counts as all that it stands for. */
  n: number;
}

/** Where a rule first counted enough. */
export interface Burst {
  /** First and last hit of the window in which the threshold was reached. */
  start: number;
  end: number;
  count: number;
  event_ids: string[];
}

export interface Limits {
  threshold: number;
  /** A hit counts together with those less than this before it. Also how long no hit may come for the rule to be armed again. */
  windowMs: number;
}

export interface Swept {
  /** Bursts that begin among the hits, in order of time. */
  opened: Burst[];
  /** Last hit of the newest burst; undefined when there never was one. */
  last: number | undefined;
  /** Hits that belong to no burst. */
  loose: Hit[];
}

/** Ids kept of one burst, as evidence. */
const MOST_IDS = 20;

/**
 * Goes through hits in order of time. A burst begins where those of one window reach the threshold, and lasts while hits come at most a window
 * apart; what comes in it begins no other. `last` is that of the newest burst known: nothing up to a window after it counts, so that an event
 * that comes again, or comes late, never makes a second alert of one burst.
 */
export function sweep(hits: readonly Hit[], { threshold, windowMs }: Limits, last?: number): Swept {
  const opened: Burst[] = [];
  const loose: Hit[] = [];
  let window: Hit[] = [];
  let count = 0;
  for (const hit of [...hits].sort(inTime)) {
    if (last !== undefined && hit.at <= last + windowMs) {
      last = Math.max(last, hit.at);
      continue;
    }
    window.push(hit);
    loose.push(hit);
    count += hit.n;
    for (let first = window[0]; first && first.at <= hit.at - windowMs; first = window[0]) {
      count -= first.n;
      window.shift();
    }
    if (count < threshold) continue;
    const event_ids = window.slice(-MOST_IDS).map(({ event_id }) => event_id);
    opened.push({ start: window[0]?.at ?? hit.at, end: hit.at, count, event_ids });
    loose.splice(loose.length - window.length);
    last = hit.at;
    window = [];
    count = 0;
  }
  return { opened, last, loose };
}

function inTime(one: Hit, other: Hit): number {
  return one.at - other.at || (one.event_id < other.event_id ? -1 : 1);
}
