import { AppError } from '@biz/errors';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { indexes } from './collections.ts';
import { type AuditHarness, auditHarness, contextOf, envelope } from './testing/harness.ts';

interface Item {
  record_id: string;
  entity_id: string;
  version: number;
  event_type: string;
  action_at: string;
  payload: string;
  owner_ip?: string;
  sealed_fields?: string[];
  [name: string]: unknown;
}
interface Page {
  items?: Item[];
  next_page_token?: string;
}

let audit: AuditHarness;
let call: ReturnType<AuditHarness['client']>;
const auditorA = contextOf(['auditor'], ['company-a']);
const dpoA = contextOf(['dpo'], ['company-a']);
const dpoB = contextOf(['dpo'], ['company-b']);
const platform = contextOf(['auditor', 'dpo'], ['*']);
const secret = 'Zuleica Prado 529.982.247-25';
const longId = 'x'.repeat(900);
const blind = { document: 'd'.repeat(64), email: 'e'.repeat(64) };

const at = (minute: number) => new Date(Date.UTC(2026, 10, 20, 9, minute)).toISOString();

/** 30 records of company A, 5 of B, 2 of none; minutes go up with the number. */
function envelopes(): object[] {
  const ofA = Array.from({ length: 30 }, (_, index) =>
    envelope({
      timestamp: at(index),
      event_type: ['card.created', 'card.changed', 'card.blocked', 'invoice.created'][index % 4] as string,
      trace_id: `${index % 7}`.repeat(32),
      payload: { id: index % 4 === 3 ? `i-${index}` : 'c-1', name: secret, big: index === 0 ? '{{big}}' : 1 },
      metadata: {
        ...{ company_id: 'company-a', ownership_id: `own-${index % 3}`, owner_id: `u-${index % 2}` },
        ...(index % 10 === 0 && { client_id: 'k-1' }),
      },
    }),
  );
  const ofB = Array.from({ length: 5 }, (_, index) =>
    envelope({ timestamp: at(index), payload: { id: 'c-1' }, metadata: { company_id: 'company-b', ownership_id: 'own-1' } }),
  );
  const odd = [
    envelope({ payload: { id: longId }, metadata: { ownership_id: `${longId}!`, owner_id: '$where' } }),
    envelope({
      event_type: 'person.created',
      payload: { id: 'p-1', name: { sealed: 's1.broken' }, plain: 'seen' },
      unknown_extra: secret,
      metadata: { sealing: 'fields', blind_indexes: blind, ownership_id: 'p-1', company_id: 'company-a', more: secret, entity_version: 7 },
    }),
  ];
  return [...ofA, ...ofB, ...odd];
}

beforeAll(async () => {
  audit = await auditHarness();
  const values = envelopes().map((one) => ({ value: JSON.stringify(one).replace('"{{big}}"', '12345678901234567890.10') }));
  await audit.send(values);
  const service = await audit.start();
  call = audit.client(service.address);
  await until(async () => (await audit.collections.logs.findOne())?.next_offset === values.length, { what: 'the log', timeoutMs: 30_000 });
});
afterAll(() => audit[Symbol.asyncDispose]());

/** Of what was sent: that it is read makes records, too (see reads.int.test.ts). */
const sent = { producer_service: 'loyalty_service' };
const list = (filters: object, who = auditorA) => call<Page>('ListRecords', { ...sent, ...filters }, who).then(({ items = [] }) => items);

async function refusal(run: Promise<unknown>): Promise<{ code: string; paths: string[] }> {
  const error = await run.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AppError)) throw new Error('not refused', { cause: error });
  return { code: error.code, paths: error.faults.map(({ path }) => path) };
}

describe('a list', () => {
  it('comes in pages of every size, each record once, in both orders', async () => {
    const expected = (await list({ page_size: 200, order: 'asc' })).map(({ record_id }) => record_id);
    expect(expected).toHaveLength(31);
    for (const order of ['asc', 'desc']) {
      for (const page_size of [1, 7, 31]) {
        const seen: string[] = [];
        for (let page_token: string | undefined = ''; page_token !== undefined; ) {
          const page: Page = await call<Page>('ListRecords', { ...sent, page_size, order, ...(page_token && { page_token }) }, auditorA);
          seen.push(...(page.items ?? []).map(({ record_id }) => record_id));
          page_token = page.next_page_token || undefined;
        }
        expect(seen).toEqual(order === 'asc' ? expected : expected.toReversed());
      }
    }
  });

  it.each([
    [{ entity_type: 'card', entity_id: 'c-1' }, 23],
    [{ entity_id: 'c-1', event_type: 'card.blocked' }, 7],
    [{ entity_type: 'invoice' }, 7],
    [{ ownership_id: 'own-1' }, 10],
    [{ ownership_id: 'own-1', owner_id: 'u-1' }, 5],
    [{ owner_id: 'u-0', event_type: 'card.created' }, 8],
    [{ event_type: 'card.changed' }, 8],
    [{ action_type: 'disable' }, 7],
    [{ producer_service: 'loyalty_service', action_type: 'update' }, 8],
    [{ trace_id: '1'.repeat(32) }, 5],
    [{ trace_id: '11111111-1111-1111-1111-111111111111' }, 5],
    [{ from: at(10), to: at(20) }, 10],
    [{ from: '2026-11-20T06:10:00-03:00', to: at(20), event_type: 'card.created' }, 2],
    [{ is_active: true }, 9],
    [{ company_id: 'company-a' }, 31],
    [{ company_id: 'company-b' }, 0],
    [{ owner_id: '$where' }, 0],
    [{ owner_id: '{"$ne":null}' }, 0],
    [{ entity_id: 'nobody' }, 0],
  ])('filtered by %j has %i', async (filters, count) => {
    expect(await list({ page_size: 200, ...filters })).toHaveLength(count);
  });

  it('of a company has nothing of another, and the platform has all', async () => {
    expect(await list({ page_size: 200 }, dpoB)).toHaveLength(5);
    expect(await list({ page_size: 200 }, platform)).toHaveLength(37);
    expect(await list({ page_size: 200, company_id: 'company-b' }, platform)).toHaveLength(5);
    expect(await list({ page_size: 200, entity_type: 'card', entity_id: 'c-1' }, platform)).toHaveLength(28);
    expect(await list({ page_size: 200, owner_id: '$where' }, platform)).toHaveLength(1);
    expect((await list({ entity_id: longId }, platform)).map(({ entity_id, ownership_id }) => [entity_id, ownership_id])).toEqual([
      [longId, `${longId}!`],
    ]);
    expect(await list({ page_size: 200 }, contextOf(['auditor'], ['company-a', 'company-b']))).toHaveLength(36);
  });

  it('takes only its own tokens', async () => {
    const { next_page_token: token = '' } = await call<Page>('ListRecords', { page_size: 1 }, auditorA);
    const forged = Buffer.from(JSON.stringify([1e300, 'x', JSON.parse(Buffer.from(token, 'base64url').toString())[2]])).toString(
      'base64url',
    );
    for (const page_token of ['nonsense', `${token}x`, Buffer.from('[1,"a","b"]').toString('base64url'), forged]) {
      expect(await refusal(call('ListRecords', { page_size: 1, page_token }, auditorA))).toEqual({
        code: 'invalid_request',
        paths: ['/page_token'],
      });
    }
    for (const [request, who] of [
      [{ page_token: token, order: 'asc' }, auditorA],
      [{ page_token: token, owner_id: 'u-1' }, auditorA],
      [{ page_token: token }, dpoB],
    ] as const) {
      expect((await refusal(call('ListRecords', request, who))).code).toBe('invalid_request');
    }
  });

  it('is refused to those without a role, and with a filter out of form', async () => {
    expect((await refusal(call('ListRecords', {}, contextOf(['user'], ['company-a'])))).code).toBe('no_role');
    expect((await refusal(call('ListRecords', {}, contextOf(['auditor'], [])))).code).toBe('no_company');
    expect((await refusal(call('ListRecords', { action_type: 'explode' }, auditorA))).code).toBe('invalid_request');
    expect((await refusal(call('ListRecords', { from: 'yesterday' }, auditorA))).code).toBe('invalid_request');
  });
});

describe('a history', () => {
  it('has every version in order, page by page, and the flag on the newest only', async () => {
    const first = await call<Page>('GetEntityHistory', { entity_type: 'card', entity_id: 'c-1', page_size: 15 }, auditorA);
    const second = await call<Page>(
      'GetEntityHistory',
      { entity_type: 'card', entity_id: 'c-1', page_size: 15, page_token: first.next_page_token },
      auditorA,
    );
    const items = [...(first.items ?? []), ...(second.items ?? [])];
    expect(items.map(({ version }) => version)).toEqual(Array.from({ length: 23 }, (_, index) => index + 1));
    expect(items.filter(({ is_active }) => is_active).map(({ version }) => version)).toEqual([23]);
    expect(second.next_page_token ?? '').toBe('');
  });

  it('of another company is unknown', async () => {
    expect((await refusal(call('GetEntityHistory', { entity_type: 'invoice', entity_id: 'i-3' }, dpoB))).code).toBe('not_found');
  });
});

describe('people of clients', () => {
  const bound = (...clients: string[]) => ({ ...auditorA, clients });

  it('find the records of their clients alone, also in a history', async () => {
    const own = await list({ page_size: 200 }, bound('k-1'));
    expect(own.map(({ client_id }) => client_id)).toEqual(['k-1', 'k-1', 'k-1']);
    expect(await list({ page_size: 200 }, bound('k-2'))).toEqual([]);
    const history = await call<Page>('GetEntityHistory', { entity_type: 'card', entity_id: 'c-1' }, bound('k-1', 'k-2'));
    expect(history.items?.map(({ record_id }) => record_id).toSorted()).toEqual(own.map(({ record_id }) => record_id).toSorted());
    expect((await refusal(call('GetEntityHistory', { entity_type: 'card', entity_id: 'c-1' }, bound('k-2')))).code).toBe('not_found');
  });

  it('do not find another’s record by its id, nor go on with a page of the whole company', async () => {
    const { items = [], next_page_token } = await call<Page>('ListRecords', { page_size: 1, order: 'asc' }, auditorA);
    const record_id = items[0]?.record_id;
    expect(await call<Item>('GetRecord', { record_id }, bound('k-1'))).toMatchObject({ record_id });
    expect((await refusal(call('GetRecord', { record_id }, bound('k-2')))).code).toBe('not_found');
    const taken = call('ListRecords', { page_size: 1, order: 'asc', page_token: next_page_token }, bound('k-1'));
    expect(await refusal(taken)).toEqual({ code: 'invalid_request', paths: ['/page_token'] });
    expect((await refusal(call('GetEntityState', { entity_type: 'card', entity_id: 'c-1' }, bound('k-1')))).code).toBe('no_role');
  });
});

describe('a record', () => {
  it('is found by its id in its company, and nowhere else', async () => {
    const [record] = await list({ page_size: 1 });
    expect(await call<Item>('GetRecord', { record_id: record?.record_id }, auditorA)).toMatchObject({ record_id: record?.record_id });
    for (const [id, who] of [
      [record?.record_id, dpoB],
      ['audit-0.9', auditorA],
      ['$where', platform],
    ] as const) {
      expect((await refusal(call('GetRecord', { record_id: id }, who))).code).toBe('not_found');
    }
  });

  it('shows its payload to a data protection officer only, digit for digit, and the address also to an auditor', async () => {
    const filters = { from: at(0), to: at(1) };
    const [closed] = await list(filters, contextOf(['admin'], ['company-a']));
    expect([closed?.payload, closed?.sealed_fields, closed?.owner_ip]).toEqual(['{"sealed":true}', ['owner_ip'], undefined]);
    const [half] = await list(filters);
    expect([half?.payload, half?.sealed_fields, half?.owner_ip]).toEqual(['{"sealed":true}', undefined, '203.0.113.7']);
    const [open] = await list(filters, dpoA);
    expect(open?.payload).toBe(`{"id":"c-1","name":"${secret}","big":12345678901234567890.10}`);
    expect(open?.owner_ip).toBe('203.0.113.7');
  });

  it('of a producer that seals fields shows the others, and all else that came only when opened', async () => {
    const [closed] = await list({ event_type: 'person.created' });
    expect(closed).toMatchObject({
      payload: '{"id":"p-1","name":{"sealed":true},"plain":"seen"}',
      extra: '{"sealed":true}',
      clock_skew: false,
    });
    const [open] = await list({ event_type: 'person.created' }, dpoA);
    expect(JSON.parse(String(open?.extra))).toMatchObject({
      envelope: { unknown_extra: secret },
      metadata: { more: secret, blind_indexes: blind },
    });
    expect(JSON.parse(String(open?.metadata))).toMatchObject({ sealing: 'fields', entity_version: 7, ownership_id: 'p-1' });
    expect(String(open?.metadata)).not.toContain('203.0.113.7');
  });

  it('whose version differs from the one that the producer named is a finding', async () => {
    expect(await audit.collections.findings.find().toArray()).toMatchObject([
      { kind: 'version_differs', named_version: 7, version: 1, company_id: 'company-a' },
    ]);
  });

  it('is flagged when the producer’s clock is off', async () => {
    expect((await list({ page_size: 1, from: at(0) }))[0]).toMatchObject({ clock_skew: false });
    expect((await list({ page_size: 1, order: 'asc' }))[0]).toMatchObject({ clock_skew: true });
  });
});

describe('an ownership', () => {
  it('tells what is known of it, within the company', async () => {
    expect(await call('GetOwnership', { ownership_id: 'own-1' }, dpoA)).toMatchObject({
      ownership_id: 'own-1',
      company_id: 'company-a',
      record_count: 10,
      first_seen: at(1),
      last_seen: at(28),
      key_state: 'active',
    });
    expect(await call('GetOwnership', { ownership_id: 'own-1' }, dpoB)).toMatchObject({ record_count: 5, entity_types: ['card'] });
    expect((await call<Page>('ListOwnershipRecords', { ownership_id: 'own-1' }, dpoB)).items).toHaveLength(5);
    expect((await refusal(call('GetOwnership', { ownership_id: 'own-2' }, dpoB))).code).toBe('not_found');
    expect((await refusal(call('GetOwnership', { ownership_id: 'own-1' }, platform))).code).toBe('company_required');
    expect(await call('GetOwnership', { ownership_id: 'own-1', company_id: 'company-b' }, platform)).toMatchObject({ record_count: 5 });
    expect(await call('GetOwnership', { ownership_id: `${longId}!` }, platform)).toMatchObject({ ownership_id: `${longId}!` });
  });

  it('is looked up through the blind index of the company, by one thing at a time', async () => {
    expect((await audit.collections.ownerships.findOne({ ownership_id: 'p-1' }))?.blind_document).toEqual([blind.document]);
    expect((await call<Page>('LookupOwnership', { email: 'nobody@example.com' }, dpoA)).items ?? []).toEqual([]);
    expect((await refusal(call('LookupOwnership', {}, dpoA))).code).toBe('invalid_request');
    expect((await refusal(call('LookupOwnership', { email: 'a', document: 'b' }, dpoA))).code).toBe('invalid_request');
    expect((await refusal(call('LookupOwnership', { email: 'a@example.com' }, platform))).code).toBe('company_required');
  });
});

describe('what is stored', () => {
  it('holds nothing personal in plain text', async () => {
    for (const db of [audit.database.db, audit.keyring.db]) {
      for (const { name } of await db.listCollections().toArray()) {
        const text = JSON.stringify(await db.collection(name).find().toArray());
        expect([name, text.includes('Zuleica'), text.includes('203.0.113.7'), text.includes('529.982')]).toEqual([
          name,
          false,
          false,
          false,
        ]);
      }
    }
  });

  it('is not taken in again once its owner was erased: the record stays, the text does not', async () => {
    await audit.keyring.db.collection('data_keys').updateMany({ ownership_id: 'own-2' }, { $set: { state: 'erased', wrapped: null } });
    // A consumer that had the key in memory would still use it for a minute; another process has not.
    const other = await audit.start({}, { CONSUMER_GROUP: `${audit.name}-2`, MONGODB_DATABASE: `${audit.database.name}_2` });
    const ask = audit.client(other.address);
    const erased = async () => (await ask<Page>('ListRecords', { ownership_id: 'own-2' }, dpoA)).items ?? [];
    await until(async () => (await erased()).length === 10, { what: 'the records', timeoutMs: 30_000 });
    expect((await erased()).map(({ payload }) => payload)).toEqual(Array(10).fill('{"erased":true}'));
    await audit.database.client.db(`${audit.database.name}_2`).dropDatabase();
  });

  it('is found through the index that is named for it', async () => {
    const names = indexes.records.map(({ name }) => name);
    for (const [filter, hint] of [
      [{ ownership_id: 'own-1' }, 'ownership_time'],
      [{ owner_id: 'u-1' }, 'owner_time'],
      [{ trace_id: '1'.repeat(32) }, 'trace_time'],
      [{ company_id: 'company-a' }, 'company_time'],
      [{ company_id: 'company-a', event_type: 'card.created' }, 'company_event_type_time'],
    ] as const) {
      expect(names).toContain(hint);
      const plan = await audit.collections.events
        .find({ ...filter, action_at: { $lte: new Date() } })
        .sort({ action_at: -1, _id: -1 })
        .hint(hint)
        .explain('queryPlanner');
      expect(JSON.stringify(plan)).toContain('IXSCAN');
    }
  });
});
