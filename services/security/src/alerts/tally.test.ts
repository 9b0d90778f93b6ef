import { seeded } from '@biz/testing';
import { describe, expect, it } from 'vitest';
import { type Hit, sweep } from './bursts.ts';
import { type Counting, type PairState, type PendingAlert, type TallyStore, tally } from './tally.ts';

/** What sweep promises, said in the plainest way: every window is counted anew. */
function naive(hits: readonly Hit[], threshold: number, windowMs: number): { start: number; end: number; count: number }[] {
  const sorted = [...hits].sort((one, other) => one.at - other.at || (one.event_id < other.event_id ? -1 : 1));
  const bursts: { start: number; end: number; count: number }[] = [];
  let last = Number.NEGATIVE_INFINITY;
  let armedFrom = 0;
  for (const [index, hit] of sorted.entries()) {
    if (hit.at <= last + windowMs) {
      last = hit.at;
      armedFrom = index + 1;
      continue;
    }
    const window = sorted.slice(armedFrom, index + 1).filter(({ at }) => at > hit.at - windowMs);
    const count = window.reduce((sum, { n }) => sum + n, 0);
    if (count < threshold) continue;
    bursts.push({ start: window[0]?.at ?? 0, end: hit.at, count });
    last = hit.at;
    armedFrom = index + 1;
  }
  return bursts;
}

/** Keeps what a store keeps; every step lets others in between, and any step may be the last of a process that is killed. */
class Memory implements TallyStore {
  readonly hits = new Map<string, Hit & { pair: string }>();
  readonly pairs = new Map<string, PairState>();
  pause: () => Promise<void> = async () => undefined;

  async states(pairs: readonly string[]) {
    await this.pause();
    return new Map(pairs.flatMap((pair) => (this.pairs.has(pair) ? [[pair, structuredClone(this.pairs.get(pair) as PairState)]] : [])));
  }
  async addHits(hits: readonly (Hit & { id: string; pair: string })[]) {
    for (const { id, ...hit } of hits) {
      await this.pause();
      if (!this.hits.has(id)) this.hits.set(id, hit);
    }
  }
  async hitsWithin(ranges: readonly { pair: string; from: number; to: number }[]) {
    await this.pause();
    const of = ({ pair, from, to }: { pair: string; from: number; to: number }) =>
      [...this.hits.values()].filter((hit) => hit.pair === pair && hit.at >= from && hit.at <= to);
    return new Map(ranges.map((range) => [range.pair, of(range)]));
  }
  async extend(changes: readonly { pair: string; last: number }[]) {
    for (const { pair, last } of changes) {
      await this.pause();
      const state = this.pairs.get(pair);
      if (state) state.last = Math.max(state.last, last);
    }
  }
  async open(changes: readonly { pair: string; seen: number | undefined; last: number; pending: PendingAlert[] }[]) {
    const written = new Set<string>();
    for (const { pair, seen, last, pending } of changes) {
      await this.pause();
      const state = this.pairs.get(pair);
      if (state?.last !== seen) continue;
      this.pairs.set(pair, { last, pending: [...(state?.pending ?? []), ...pending] });
      written.add(pair);
    }
    return written;
  }
  async settle(alerts: readonly { pair: string; alert_id: string }[]) {
    await this.pause();
    for (const { pair, alert_id } of alerts) {
      const state = this.pairs.get(pair);
      if (state) state.pending = state.pending.filter((one) => one.alert_id !== alert_id);
    }
  }
}

const windowMs = 60_000;
const rule = { threshold: 5, window_seconds: windowMs / 1000 };
const hit = (seconds: number, n = 1, id = `e${seconds}`): Hit => ({ event_id: id, at: seconds * 1000, n });
const counting = (hits: readonly Hit[], pair = 'p'): Counting => ({ pair, rule, hits });

/** What a consumer does with a batch: count, write the alerts, settle them. */
async function take(store: Memory, alerts: Map<string, PendingAlert>, batch: readonly Counting[]): Promise<void> {
  const found = await tally(store, batch);
  for (const { alert } of found) {
    await store.pause();
    alerts.set(alert.alert_id, alerts.get(alert.alert_id) ?? alert);
  }
  await store.settle(found.map(({ pair, alert: { alert_id } }) => ({ pair, alert_id })));
}

const windowsOf = (alerts: Map<string, PendingAlert>) =>
  [...alerts.values()].map(({ start, end, count }) => ({ start, end, count })).sort((one, other) => one.start - other.start);

describe('a burst', () => {
  const limits = { threshold: 5, windowMs };
  const opened = (...hits: Hit[]) => sweep(hits, limits).opened.map(({ start, end, count }) => [start / 1000, end / 1000, count]);

  it('begins with the hit that reaches the threshold within the window', () => {
    expect(opened(hit(0), hit(10), hit(20), hit(30))).toEqual([]);
    expect(opened(hit(0), hit(10), hit(20), hit(30), hit(59.999))).toEqual([[0, 59.999, 5]]);
    // exactly a window later the first one counts no more
    expect(opened(hit(0), hit(10), hit(20), hit(30), hit(60))).toEqual([]);
    expect(opened(hit(0), hit(10), hit(20), hit(30), hit(60), hit(61))).toEqual([[10, 61, 5]]);
  });

  it('counts a folded event as all that it stands for', () => {
    expect(opened(hit(0, 2), hit(10, 4))).toEqual([[0, 10, 6]]);
    expect(opened(hit(0, 500))).toEqual([[0, 0, 500]]);
  });

  it('is one however long it lasts, and the rule is armed again after a quiet window', () => {
    const long = Array.from({ length: 500 }, (_, second) => hit(second));
    expect(opened(...long)).toHaveLength(1);
    const again = Array.from({ length: 5 }, (_, n) => hit(499 + 60.001 + n));
    expect(opened(...long, ...again)).toHaveLength(2);
    expect(opened(...long, ...Array.from({ length: 5 }, (_, n) => hit(499 + 60 + n)))).toHaveLength(1);
  });

  it('is what counting every window anew finds', () => {
    let found = 0;
    for (let seed = 1; seed <= 400; seed += 1) {
      const next = seeded(seed);
      const span = 60 + next() * 2_000;
      const hits = Array.from({ length: Math.floor(next() * 60) }, (_, n) =>
        hit(Math.floor(next() * span), 1 + Math.floor(next() ** 4 * 4), `e${n}`),
      );
      const threshold = 1 + Math.floor(next() * 7);
      const { opened } = sweep(hits, { threshold, windowMs });
      expect(
        opened.map(({ start, end, count }) => ({ start, end, count })),
        `seed ${seed}`,
      ).toEqual(naive(hits, threshold, windowMs));
      found += opened.length;
    }
    expect(found).toBeGreaterThan(300);
  });
});

/** Bursts and noise far enough apart that no order of arrival within `skewMs` makes one of two. */
function story(next: () => number): Hit[] {
  const hits: Hit[] = [];
  let second = 0;
  for (let n = 0; n < 12; n += 1) {
    second += 200 + Math.floor(next() * 300);
    const size = 1 + Math.floor(next() * 12);
    for (let k = 0; k < size; k += 1) hits.push(hit(second + Math.floor(next() * 40), 1 + Math.floor(next() ** 6 * 3), `e${hits.length}`));
  }
  return hits.sort((one, other) => one.at - other.at);
}

/** Batches of up to seven, now and then one that comes again. */
function batchesOf(hits: readonly Hit[], next: () => number): Counting[][] {
  const batches: Counting[][] = [];
  for (let at = 0; at < hits.length; ) {
    const size = 1 + Math.floor(next() * 7);
    batches.push([counting(hits.slice(at, at + size))]);
    at += next() < 0.2 ? 0 : size;
  }
  return batches;
}

describe('counted in batches', () => {
  it('events that come again count nothing twice, and bursts are those of all events at once', async () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      const next = seeded(seed);
      const hits = story(next);
      const store = new Memory();
      const alerts = new Map<string, PendingAlert>();
      for (const batch of batchesOf(hits, next)) await take(store, alerts, batch);
      // from the very beginning, as a group that lost its offsets
      for (const batch of batchesOf(hits, next)) await take(store, alerts, batch);
      expect(windowsOf(alerts), `seed ${seed}`).toEqual(naive(hits, rule.threshold, windowMs));
      expect([...store.pairs.values()].flatMap(({ pending }) => pending)).toEqual([]);
    }
  });

  it('by two consumers in any interleaving, one alert comes of a burst', async () => {
    let contested = 0;
    for (let seed = 1; seed <= 200; seed += 1) {
      const next = seeded(seed);
      const hits = story(next);
      const store = new Memory();
      store.pause = async () => {
        for (let turns = Math.floor(next() * 4); turns > 0; turns -= 1) await Promise.resolve();
      };
      const alerts = new Map<string, PendingAlert>();
      const halves = [hits.filter((_, n) => n % 2 === 0), hits.filter((_, n) => n % 2 === 1)];
      const queues = halves.map((half) => batchesOf(half, next));
      // side by side, each a few batches ahead or behind
      await Promise.all(
        queues.map(async (queue) => {
          for (const batch of queue) await take(store, alerts, batch);
        }),
      );
      const wanted = naive(hits, rule.threshold, windowMs);
      contested += wanted.length;
      // consumers may be a burst apart: a burst that the slower one completes only after the faster one met the next is part of that
      expect(alerts.size, `seed ${seed}`).toBeLessThanOrEqual(wanted.length);
      if (wanted.length > 0) expect(alerts.size, `seed ${seed}`).toBeGreaterThan(0);
    }
    expect(contested).toBeGreaterThan(500);
  });

  it('of one burst met by both at once exactly one alert comes', async () => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const next = seeded(seed);
      const hits = Array.from({ length: 5 + Math.floor(next() * 10) }, (_, n) => hit(Math.floor(next() * 40), 1, `e${n}`));
      const store = new Memory();
      store.pause = async () => {
        for (let turns = Math.floor(next() * 5); turns > 0; turns -= 1) await Promise.resolve();
      };
      const alerts = new Map<string, PendingAlert>();
      const halves = [hits.filter((_, n) => n % 2 === 0), hits.filter((_, n) => n % 2 === 1)];
      await Promise.all(
        halves.map(async (half) => {
          for (const batch of batchesOf(half, next)) await take(store, alerts, batch);
        }),
      );
      expect(alerts.size, `seed ${seed}`).toBe(1);
    }
  });

  it('who was beaten to a burst still finds the next one', async () => {
    const first = Array.from({ length: 5 }, (_, second) => hit(second));
    const next = Array.from({ length: 5 }, (_, second) => hit(500 + second));
    for (let seed = 1; seed <= 100; seed += 1) {
      const turns = seeded(seed);
      const store = new Memory();
      store.pause = async () => {
        for (let left = Math.floor(turns() * 5); left > 0; left -= 1) await Promise.resolve();
      };
      const alerts = new Map<string, PendingAlert>();
      // the same events at two consumers: one lost its partition and does not know yet
      await Promise.all([take(store, alerts, [counting(first)]), take(store, alerts, [counting([...first, ...next])])]);
      expect(windowsOf(alerts), `seed ${seed}`).toEqual(naive([...first, ...next], rule.threshold, windowMs));
    }
  });

  it('killed at any step, what comes again makes the alert that was not written', async () => {
    const hits = Array.from({ length: 7 }, (_, second) => hit(second));
    for (let step = 1; ; step += 1) {
      const store = new Memory();
      const alerts = new Map<string, PendingAlert>();
      let steps = 0;
      store.pause = async () => {
        steps += 1;
        if (steps === step) throw new Error('killed');
      };
      const killed = await take(store, alerts, [counting(hits.slice(0, 4)), counting(hits.slice(0, 6), 'q')]).then(
        () => false,
        () => true,
      );
      store.pause = async () => undefined;
      await take(store, alerts, [counting(hits.slice(0, 4)), counting(hits.slice(0, 6), 'q')]);
      await take(store, alerts, [counting(hits.slice(4)), counting(hits.slice(6), 'q')]);
      expect(alerts.size, `killed at step ${step}`).toBe(2);
      expect([...store.pairs.values()].flatMap(({ pending }) => pending)).toEqual([]);
      if (!killed) {
        expect(step).toBeGreaterThan(10);
        return;
      }
    }
  });

  it('a burst takes no more room however long it lasts', async () => {
    const store = new Memory();
    const alerts = new Map<string, PendingAlert>();
    for (let second = 0; second < 2_000; second += 1) await take(store, alerts, [counting([hit(second)])]);
    expect(alerts.size).toBe(1);
    expect(store.hits.size).toBe(5);
  });
});
