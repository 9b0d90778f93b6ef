import { until } from '@biz/testing';
import { afterEach, describe, expect, it } from 'vitest';
import type { StoredEvent } from '../storage/port.ts';
import type { Entries, Entry } from './entries.ts';
import { eventStream, type StreamOptions } from './follow.ts';
import { createHub, type Hub } from './hub.ts';
import { createOpenings } from './openings.ts';
import { readBookmark, spans } from './position.ts';

/** The topic as the database tells it, in memory. */
function topic() {
  const log: Entry[] = [];
  const asked = { end: 0 };
  const entries: Pick<Entries, 'end' | 'between' | 'items'> = {
    async end() {
      asked.end += 1;
      const ends = new Map<number, number>();
      for (const { partition, offset } of log) ends.set(partition, offset + 1);
      return ends;
    },
    async between(from, to, limit) {
      const after = new Map(from);
      const found: Entry[] = [];
      for (const span of spans(from, to)) {
        const inside = log.filter(({ partition, offset }) => partition === span.partition && offset >= span.from && offset < span.to);
        const taken = inside.slice(0, limit - found.length);
        found.push(...taken);
        after.set(span.partition, taken.length < inside.length ? (taken.at(-1)?.offset ?? span.from - 1) + 1 : span.to);
        if (found.length === limit) break;
      }
      return { entries: found, after };
    },
    items: async (asked) => new Map(asked.map(({ event_id }) => [event_id, { event: { event_id } as StoredEvent }])),
  };
  let made = 0;
  const add = (count: number, company_id = 'a') => {
    const ids = Array.from({ length: count }, () => `e-${made++}`);
    for (const event_id of ids) {
      const partition = made % 3;
      const offset = (log.findLast((entry) => entry.partition === partition)?.offset ?? -1) + 2;
      log.push({ event_id, partition, offset, company_id });
    }
    return ids;
  };
  return { entries, add, asked };
}

const hubs: Hub[] = [];
afterEach(async () => {
  for (const hub of hubs.splice(0)) await hub[Symbol.asyncDispose]();
});
const hubOf = (entries: Pick<Entries, 'end' | 'between' | 'items'>, kept = 1_000, pollMs = 5) => {
  const hub = createHub({ entries, pollMs, kept, log: { warn: () => undefined } });
  hubs.push(hub);
  return hub;
};

/** A client: what it got, and its last id. */
async function client(hub: Hub, entries: StreamOptions['entries'], lastId?: string, over: Partial<StreamOptions> = {}) {
  const follower = await hub.follow();
  const leaving = new AbortController();
  const state = { ids: [] as string[], last: lastId ?? '', texts: [] as string[], takes: true };
  const texts = eventStream({
    ...{ entries, follower, sees: () => true, heartbeatMs: 10_000, retryMs: 1, ends: new Date(Date.now() + 60_000) },
    ...(lastId && { bookmark: readBookmark(lastId) }),
    present: async (items) =>
      items.map((item) => ({ event: 'security_event', data: JSON.stringify({ event_id: 'event' in item && item.event.event_id }) })),
    keptSince: () => new Date(0),
    signal: leaving.signal,
    ...over,
  });
  const first = await texts.next();
  const note = (text: string) => {
    state.texts.push(text);
    for (const [, id] of text.matchAll(/^id: (.*)$/gm)) state.last = id as string;
    for (const [, id] of text.matchAll(/^data: \{"event_id":"(.*)"\}$/gm)) state.ids.push(id as string);
  };
  note(first.value as string);
  const read = async () => {
    for await (const text of texts) {
      note(text);
      if (!state.takes) return;
    }
  };
  const done = { reading: undefined as Promise<void> | undefined };
  return {
    state,
    read: () => (done.reading = read()),
    async leave() {
      leaving.abort();
      await done.reading;
      await texts.return(undefined);
      follower[Symbol.dispose]();
    },
  };
}

describe('a stream', () => {
  it('begins with what comes from now on, and needs no event to be continued', async () => {
    const { entries, add } = topic();
    add(5);
    const hub = hubOf(entries);
    const one = await client(hub, entries);
    const id = one.state.last;
    await one.leave();
    const missed = add(4);
    const two = await client(hub, entries, id);
    two.read();
    await until(() => two.state.ids.length === 4, { what: 'what was missed' });
    const next = add(3);
    await until(() => two.state.ids.length === 7, { what: 'what came then' });
    expect(new Set(two.state.ids)).toEqual(new Set([...missed, ...next]));
    await two.leave();
  });

  it('loses nothing and repeats nothing between two instances, wherever it breaks off', async () => {
    const { entries, add } = topic();
    const hubsOfTwo = [hubOf(entries, 7), hubOf(entries)] as [Hub, Hub];
    const first = await client(hubsOfTwo[0], entries);
    let last = first.state.last;
    await first.leave();
    const published: string[] = [];
    const got: string[] = [];
    for (let round = 0; round < 40; round += 1) {
      published.push(...add(round % 13));
      const one = await client(hubsOfTwo[round % 2] as Hub, entries, last);
      one.state.takes = round % 3 !== 0;
      one.read();
      published.push(...add(round % 5));
      if (one.state.takes) await until(() => got.length + one.state.ids.length === published.length, { what: 'all of it' });
      await one.leave();
      got.push(...one.state.ids);
      last = one.state.last;
    }
    const rest = await client(hubsOfTwo[0], entries, last);
    rest.read();
    await until(() => got.length + rest.state.ids.length >= published.length, { what: 'the rest' });
    got.push(...rest.state.ids);
    await rest.leave();
    expect(new Set(got).size).toBe(got.length);
    expect([...got].sort()).toEqual([...published].sort());
  });

  it('of a client that was ahead of this instance does not go back', async () => {
    const { entries, add } = topic();
    add(6);
    const end = await entries.end();
    let held = true;
    const late = hubOf({ ...entries, end: async () => (held ? new Map() : entries.end()) });
    const keeper = await late.follow();
    const ahead = await client(late, entries, `zz${[...end].map(([partition, offset]) => `~${partition}.${offset}`).join('')}`);
    ahead.read();
    held = false;
    const [next] = add(1);
    await until(() => ahead.state.ids.length > 0, { what: 'the next event' });
    expect(ahead.state.ids).toEqual([next]);
    await ahead.leave();
    keeper[Symbol.dispose]();
  });

  it('shows companies their own, and moves on past the others', async () => {
    const { entries, add } = topic();
    const hub = hubOf(entries);
    const one = await client(hub, entries, undefined, { sees: (company) => company === 'b' });
    one.read();
    add(60, 'a');
    const own = add(1, 'b');
    await until(() => one.state.ids.length === 1, { what: 'the event' });
    expect(one.state.ids).toEqual(own);
    expect(readBookmark(one.state.last).position).toEqual(await entries.end());
    await one.leave();
  });

  it('that is not taken is overtaken, holds nothing, and misses nothing', async () => {
    const { entries, add } = topic();
    const hub = hubOf(entries, 5);
    const slow = await client(hub, entries);
    const fast = await client(hub, entries);
    fast.read();
    const all = add(2_345);
    await until(() => fast.state.ids.length === all.length, { what: 'the fast one' });
    slow.read();
    await until(() => slow.state.ids.length === all.length, { what: 'the slow one' });
    expect([...slow.state.ids].sort()).toEqual([...all].sort());
    expect(Math.max(...slow.state.texts.map((text) => text.split('data: ').length - 1))).toBeLessThanOrEqual(50);
    await slow.leave();
    await fast.leave();
  });

  it('shows that it lives, with a bookmark; tells of a gap; ends when it is time', async () => {
    const { entries } = topic();
    const hub = hubOf(entries);
    const one = await client(hub, entries, 'zz~0.1', { heartbeatMs: 20, keptSince: () => new Date() });
    one.read();
    await until(() => one.state.texts.length > 1, { what: 'a sign of life' });
    await one.leave();
    expect(one.state.texts[0]).toMatch(/^retry: 1\nid: .*\n\nevent: gap\nid: .*\ndata: \{"since":"1970-/);
    expect(one.state.texts[1]).toMatch(/^: still here\nid: \w+~0\.1\n\n$/);
    const ends = new Date(Date.now() + 100);
    const other = await client(hub, entries, undefined, { ends });
    await other.read();
    expect(Date.now()).toBeGreaterThanOrEqual(ends.getTime());
    await other.leave();
  });
});

describe('the database', () => {
  it('is asked for all streams together, and by nobody for none', async () => {
    const { entries, add, asked } = topic();
    const hub = hubOf(entries, 1_000, 600_000);
    const clients = await Promise.all(Array.from({ length: 20 }, () => client(hub, entries)));
    for (const one of clients) one.read();
    await until(() => asked.end === 2, { what: 'the first look, after the start' });
    add(1);
    hub.wake();
    await until(() => clients.every(({ state }) => state.ids.length === 1), { what: 'all of them' });
    expect(asked.end).toBe(3);
    for (const one of clients) await one.leave();
    await hub[Symbol.asyncDispose]();
    hub.wake();
    expect(asked.end).toBe(3);
  });
});

describe('open streams', () => {
  it('are counted by subject and together', () => {
    const openings = createOpenings({ perSubject: 2, all: 3 });
    const held = [openings.open('a'), openings.open('a')];
    expect(() => openings.open('a')).toThrow(expect.objectContaining({ code: 'rate_limited' }));
    openings.open('b');
    expect(() => openings.open('c')).toThrow(expect.objectContaining({ code: 'unavailable' }));
    held[0]?.[Symbol.dispose]();
    held[0]?.[Symbol.dispose]();
    openings.open('a');
    expect(() => openings.open('c')).toThrow(expect.objectContaining({ code: 'unavailable' }));
  });
});
