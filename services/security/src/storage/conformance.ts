import { randomUUID } from 'node:crypto';
import { newId } from '@biz/service';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AuditLogStorage, EventQuery, StoredEvent } from './port.ts';

/** A real engine to try a storage on. */
export interface Subject extends AsyncDisposable {
  /** Opens the storage on the same place each time; several may be open at once. */
  open(): Promise<AuditLogStorage>;
  /** Resolves when what was saved is found: some engines take a moment. */
  settled(): Promise<void>;
  /** All that the engine keeps, as text; for engines that really forget. */
  raw?(): Promise<string>;
}

const MINUTE = 60_000;
/** Six hours ago, in whole milliseconds: engines of logs take what is recent only. */
const start = Date.now() - 360 * MINUTE;
const at = (minutes: number) => new Date(start + minutes * MINUTE);

/** An event with all its fields; those of one test share a company of its own, since all tests share the engine. */
export function event(over: Partial<StoredEvent> = {}): StoredEvent {
  const occurred_at = over.occurred_at ?? at(0);
  return {
    ...{ event_id: newId(), occurred_at, received_at: new Date(start), event_type: 'LOGIN_FAILED', severity: 'WARNING' },
    ...{
      user_id: 'u-1',
      company_id: 'c-1',
      client_id: null,
      user_email: token(),
      ip: token(),
      ip_index: randomUUID(),
      user_agent: token(),
    },
    ...{ resource: '/v1/teams/{id}', action: 'GET', request_id: 'r-1', trace_id: 't-1', success: false, error_message: 'no_role' },
    ...{
      details: '{"a":[1.50,{"b":null}]}',
      count: 3,
      first_at: occurred_at,
      last_at: new Date(occurred_at.getTime() + 500),
      anonymized: false,
    },
    ...over,
  };
}

const token = () => `s1.${randomUUID()}`;
const ids = (events: readonly StoredEvent[]) => events.map(({ event_id }) => event_id);
const newestFirst = (events: readonly StoredEvent[]) =>
  [...events].sort((a, b) => b.occurred_at.getTime() - a.occurred_at.getTime() || (a.event_id < b.event_id ? 1 : -1));

/** The one suite that every storage passes, on the real thing. */
export function conformance(name: string, make: () => Promise<Subject>): void {
  describe(`the storage ${name}`, () => {
    let subject: Subject;
    let storage: AuditLogStorage;

    beforeAll(async () => {
      subject = await make();
      storage = await subject.open();
    });

    afterAll(async () => {
      await storage?.[Symbol.asyncDispose]();
      await subject?.[Symbol.asyncDispose]();
    });

    const save = async (...events: StoredEvent[]) => {
      expect(await storage.save(events)).toEqual([]);
      await subject.settled();
      return events;
    };
    const all = async (query: EventQuery, size = 100): Promise<StoredEvent[]> => {
      const { items, next } = await storage.find(query, { size });
      if (next === undefined) return items;
      const rest: StoredEvent[] = [];
      for (let after: string | undefined = next; after !== undefined; ) {
        const page = await storage.find(query, { size, after });
        rest.push(...page.items);
        after = page.next;
      }
      return [...items, ...rest];
    };

    it('gives back every field as it was, newest first', async () => {
      const company_id = randomUUID();
      const bare = { client_id: null, user_email: null, ip: null, ip_index: null, user_agent: null, resource: null, action: null };
      const saved = await save(
        event({ company_id, client_id: 'k-1', occurred_at: at(1) }),
        event({
          ...bare,
          company_id,
          user_id: null,
          request_id: null,
          trace_id: null,
          error_message: null,
          success: true,
          occurred_at: at(2),
        }),
        event({ company_id, occurred_at: new Date(start + 1) }),
      );
      expect(await all({ company_ids: [company_id] })).toEqual(newestFirst(saved));
    });

    it('keeps an event once, however often and by however many it is saved, and as it was first', async () => {
      const company_id = randomUUID();
      const [one, two] = await save(event({ company_id, occurred_at: at(1) }), event({ company_id, occurred_at: at(2) }));
      await using other = await subject.open();
      const again = [one, two, event({ company_id, occurred_at: at(3) })] as StoredEvent[];
      await Promise.all([storage.save(again), other.save(again), storage.save([...again].reverse())]);
      await save(...again);
      expect(await all({ company_ids: [company_id] })).toEqual(newestFirst(again));
      expect(await all({ company_ids: [company_id] }, 1)).toEqual(newestFirst(again));
      expect(await storage.save([])).toEqual([]);
    });

    it('finds by user, company, type, severity, address and period, alone and together', async () => {
      const [mine, yours, nobody] = [randomUUID(), randomUUID(), randomUUID()];
      const [user, index] = [randomUUID(), randomUUID()];
      const [a, b, c, d] = (await save(
        event({ company_id: mine, user_id: user, occurred_at: at(1) }),
        event({ company_id: mine, user_id: user, event_type: 'LOGOUT', severity: 'INFO', ip_index: index, occurred_at: at(2) }),
        event({ company_id: yours, user_id: user, severity: 'CRITICAL', ip_index: index, occurred_at: at(3) }),
        event({ company_id: null, user_id: user, occurred_at: at(4) }),
      )) as [StoredEvent, StoredEvent, StoredEvent, StoredEvent];
      const found = async (query: EventQuery) => ids(await all(query));
      expect(await found({ user_id: user })).toEqual(ids([d, c, b, a]));
      expect(await found({ company_ids: [mine] })).toEqual(ids([b, a]));
      expect(await found({ company_ids: [mine, yours] })).toEqual(ids([c, b, a]));
      expect(await found({ company_ids: [nobody] })).toEqual([]);
      expect(await found({ company_ids: [], user_id: user })).toEqual([]);
      expect(await found({ user_id: user, event_type: 'LOGOUT' })).toEqual(ids([b]));
      expect(await found({ user_id: user, severity: 'CRITICAL' })).toEqual(ids([c]));
      expect(await found({ ip_index: index })).toEqual(ids([c, b]));
      expect(await found({ ip_index: index, company_ids: [mine] })).toEqual(ids([b]));
      expect(await found({ user_id: user, from: at(2), to: at(4) })).toEqual(ids([c, b]));
      expect(await found({ user_id: user, from: at(4) })).toEqual(ids([d]));
      expect(await found({ user_id: user, to: at(1) })).toEqual([]);
      const everything: EventQuery = { user_id: user, company_ids: [mine], event_type: 'LOGOUT', severity: 'INFO', ip_index: index };
      expect(await found({ ...everything, from: at(2), to: at(3) })).toEqual(ids([b]));
      expect(await found({ ...everything, severity: 'ERROR' })).toEqual([]);
    });

    it('comes in pages that hold every event once, though many have one time, and more come meanwhile', async () => {
      const query = { company_ids: [randomUUID()] };
      const company_id = query.company_ids[0] as string;
      const saved = await save(...Array.from({ length: 23 }, (_, index) => event({ company_id, occurred_at: at(Math.floor(index / 9)) })));
      const order = ids(newestFirst(saved));
      const first = await storage.find(query, { size: 5 });
      await save(event({ company_id, occurred_at: at(100) }));
      const seen = ids(first.items);
      for (let after = first.next; after !== undefined; ) {
        const page = await storage.find(query, { size: 5, after });
        expect(page.items.length).toBeGreaterThan(0);
        seen.push(...ids(page.items));
        after = page.next;
      }
      expect(seen).toEqual(order);
      expect((await storage.find(query, { size: 24 })).next).toBeUndefined();
      expect((await storage.find(query, { size: 23 })).next).toBeDefined();
      for (const after of ['', 'x', Buffer.from('[1]').toString('base64url'), Buffer.from('[9e15,"x"]').toString('base64url')]) {
        await expect(storage.find(query, { size: 5, after })).rejects.toMatchObject({ code: 'invalid_request' });
      }
    });

    it('takes many at once', async () => {
      const company_id = randomUUID();
      const many = Array.from({ length: 1_500 }, (_, index) => event({ company_id, occurred_at: new Date(start + index * 7) }));
      await save(...many);
      expect(ids(await all({ company_ids: [company_id] }, 200))).toEqual(ids(newestFirst(many)));
    });

    it('anonymizes a user: the values are gone, the event stays; others and later events are not touched', async () => {
      const [company_id, user, index] = [randomUUID(), randomUUID(), randomUUID()];
      const [one, two, other] = (await save(
        event({ company_id, user_id: user, ip_index: index, occurred_at: at(1) }),
        event({ company_id, user_id: user, occurred_at: at(2) }),
        event({ company_id, user_id: 'u-other', ip_index: index, occurred_at: at(3) }),
      )) as [StoredEvent, StoredEvent, StoredEvent];
      expect(await storage.anonymize({ user_id: user })).toBe(2);
      const gone = { user_email: null, ip: null, ip_index: null, user_agent: null, anonymized: true };
      expect(await all({ company_ids: [company_id] })).toEqual([other, { ...two, ...gone }, { ...one, ...gone }]);
      expect(ids(await all({ ip_index: index }))).toEqual([other.event_id]);
      const raw = await subject.raw?.();
      const values = [one.user_email, one.ip, one.user_agent, two.ip];
      if (raw !== undefined)
        expect([other.ip, ...values].map((value) => raw.includes(String(value)))).toEqual([true, false, false, false, false]);
      expect(await storage.anonymize({ user_id: user })).toBe(0);
      const later = event({ company_id, user_id: user, occurred_at: at(4) });
      await save(one, later);
      expect(await all({ company_ids: [company_id] })).toEqual([later, other, { ...two, ...gone }, { ...one, ...gone }]);
    });

    it('anonymizes what is older than a time', async () => {
      const company_id = randomUUID();
      const saved = (await save(...[-300, -299, -298].map((minute) => event({ company_id, occurred_at: at(minute) })))) as StoredEvent[];
      expect(await storage.anonymize({ before: at(-298) })).toBe(2);
      const found = await all({ company_ids: [company_id] });
      expect(found.map(({ anonymized, ip }) => [anonymized, ip])).toEqual([
        [false, saved[2]?.ip],
        [true, null],
        [true, null],
      ]);
      expect(await storage.anonymize({ before: at(-298) })).toBe(0);
    });

    it('keeps any text as it is, and takes none for more than text', async () => {
      const user_id = randomUUID();
      const texts = [
        'a\u0000b',
        'a\r\nb',
        '\u001b[31mred',
        '\u202eabc',
        '"}]\'; DROP TABLE x; --',
        '$where',
        '*',
        '😀',
        '{"$ne":null}',
        '\\u0041',
      ];
      const saved = await save(
        ...texts.map((resource, minute) =>
          event({ user_id, resource, details: JSON.stringify({ __proto__x: resource }), occurred_at: at(minute) }),
        ),
      );
      expect(await all({ user_id })).toEqual(newestFirst(saved));
      for (const hostile of [...texts, `${user_id}" || $.severity = "WARNING`, '#', `${user_id.slice(0, 8)}*`]) {
        expect(await all({ user_id: hostile })).toEqual([]);
        expect(await all({ user_id, event_type: hostile })).toEqual([]);
        expect(await all({ company_ids: [hostile] })).toEqual([]);
      }
    });

    it('is there again when it is opened again, and is opened by several at once', async () => {
      const company_id = randomUUID();
      const [saved] = await save(event({ company_id }));
      const others = await Promise.all([subject.open(), subject.open()]);
      for (const other of others) {
        expect((await other.find({ company_ids: [company_id] }, { size: 10 })).items).toEqual([saved]);
        await other[Symbol.asyncDispose]();
      }
    });
  });
}
