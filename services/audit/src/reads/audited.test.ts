import { AppError } from '@biz/errors';
import type { OwnEvent } from '@biz/eventstore';
import { loadContract, type MethodModel } from '@biz/protos';
import type { Call, Handler, StreamHandler } from '@biz/rpc';
import { describe, expect, it } from 'vitest';
import { looksPersonal } from '../personal.ts';
import { services } from '../rpc.ts';
import { contextOf } from '../testing/harness.ts';
import { audited } from './audited.ts';
import { isRead } from './methods.ts';
import type { ReadLog } from './read-log.ts';
import { noteShown } from './tally.ts';

const contract = loadContract();
const methods = services.flatMap((name) => contract.service(name).methods);

function callOf(name: string, over: Partial<MethodModel> = {}, companies = ['company-a']): Call {
  const method = { ...(methods.find((one) => one.name === name) as MethodModel), ...over };
  const signal = new AbortController().signal;
  return { context: contextOf(['auditor'], companies), method, peer: 'gateway', signal, deadline: new Date(Date.now() + 10_000) };
}

/** Keeps what is recorded, in the order in which it happened. */
function notebook(refuse?: AppError) {
  const happened: string[] = [];
  const events: OwnEvent[] = [];
  const gone = new AbortController();
  const take = (how: string) => async (event: OwnEvent) => {
    if (refuse) throw refuse;
    happened.push(how);
    events.push(event);
  };
  const reads: ReadLog = {
    record: take('recorded'),
    begin: async (_, interrupted) => {
      await take('begun')(interrupted());
      return { signal: gone.signal, end: take('ended') };
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
  return { reads, happened, events, gone };
}

const records = [
  { record_id: 'audit-0.1', ownership_id: 'own-1', company_id: 'company-a' },
  { record_id: 'audit-0.2', ownership_id: 'own-2', company_id: 'company-a' },
  { record_id: 'audit-0.3', ownership_id: 'own-1', company_id: 'company-a' },
];
const listed: Handler = async () => ({ items: records });
const ask = (handler: Handler, request: object, call: Call, { reads }: ReturnType<typeof notebook>) =>
  (audited(reads, { [call.method.name]: handler })[call.method.name] as Handler)(request, call);

describe('a read', () => {
  it('is one event: who, what, how much, whose', async () => {
    const book = notebook();
    const request = { page_size: 3, event_type: 'card.created', is_active: false, page_token: 'abc', owner_id: '' };
    expect(await ask(listed, request, callOf('ListRecords'), book)).toEqual({ items: records });
    expect(book.events).toMatchObject([
      {
        type: 'audit.read',
        entity_type: 'audit_read',
        action_type: 'new',
        company_id: 'company-a',
        ownership_id: 'company-a',
        context: { actor: { id: 'u-test', type: 'user' }, role: 'auditor', ip: '203.0.113.1' },
      },
    ]);
    expect(book.events[0]?.data).toEqual({
      rpc: 'biz.audit.v1.AuditService/ListRecords',
      route: 'GET /v1/audit/records',
      filters: { page_size: 3, event_type: 'card.created', is_active: false, continued: true },
      opens: ['owner_ip'],
      request_id: expect.any(String),
      peer: 'gateway',
      count: 3,
      first_record_id: 'audit-0.1',
      last_record_id: 'audit-0.3',
      ownership_ids: ['own-1', 'own-2'],
      ownership_count: 2,
      outcome: 'answered',
    });
  });

  it('that cannot be recorded is not answered', async () => {
    const away = new AppError('unavailable', 'away');
    await expect(ask(listed, {}, callOf('ListRecords'), notebook(away))).rejects.toBe(away);
  });

  it('of nothing is recorded, one that is refused or breaks is not', async () => {
    const book = notebook();
    for (const code of ['not_found', 'invalid_request', 'timeout'] as const) {
      const failing: Handler = () => Promise.reject(new AppError(code, code));
      await expect(ask(failing, { record_id: 'x' }, callOf('GetRecord'), book)).rejects.toMatchObject({ code });
    }
    expect(book.events.map(({ data }) => [data.outcome, data.count])).toEqual([['not_found', 0]]);
  });

  it('of several companies tells which, and belongs to none; of one of them belongs to that one', async () => {
    const book = notebook();
    const mixed = [...records, { record_id: 'audit-0.4', ownership_id: 'own-1' }];
    await ask(async () => ({ items: mixed }), {}, callOf('ListRecords', {}, ['*']), book);
    await ask(listed, {}, callOf('ListRecords', {}, ['*']), book);
    await ask(async () => ({ items: [] }), {}, callOf('ListRecords', {}, ['*']), book);
    expect(book.events.map(({ company_id, ownership_id, data }) => [company_id, ownership_id, data.company_ids])).toEqual([
      [null, 'u-test', ['company-a', null]],
      ['company-a', 'company-a', undefined],
      [null, 'u-test', undefined],
    ]);
  });

  it('of many lists some and counts all', async () => {
    const book = notebook();
    const many = Array.from({ length: 250 }, (_, n) => ({ record_id: `r-${n}`, ownership_id: n === 0 ? 'x'.repeat(900) : `own-${n}` }));
    await ask(async () => ({ items: many }), {}, callOf('ListRecords'), book);
    expect(book.events[0]?.data).toMatchObject({ ownership_count: 250, count: 250 });
    const named = book.events[0]?.data.ownership_ids as string[];
    expect([named.length, named[0], named[199]]).toEqual([200, expect.stringMatching(/^#[0-9a-f]{64}$/), 'own-199']);
  });

  it('of what an answer does not name one by one is told by the handler', async () => {
    const book = notebook();
    const folded: Handler = async (_, call) => {
      noteShown(call, records);
      return { state: '{}' };
    };
    await ask(folded, {}, callOf('GetEntityHistory'), book);
    expect(book.events[0]?.data).toMatchObject({ count: 3, ownership_ids: ['own-1', 'own-2'] });
  });
});

describe('what was asked for', () => {
  it('is kept without personal values', async () => {
    const book = notebook();
    for (const request of [{ document: '529.982.247-25' }, { email: 'maria@example.com' }]) {
      await ask(async () => ({ items: [] }), request, callOf('LookupOwnership'), book);
    }
    for (const ownership_id of ['529.982.247-25', 'maria@example.com', 'own-1']) {
      await ask(async () => ({ items: [] }), { ownership_id }, callOf('ListRecords'), book);
    }
    await ask(async () => ({ items: [{ ownership_id: '52998224725' }] }), { ownership_id: '52998224725' }, callOf('ListRecords'), book);
    expect(book.events.map(({ data }) => data.filters)).toEqual([
      { document: { withheld: true } },
      { email: { withheld: true } },
      { ownership_id: { withheld: true } },
      { ownership_id: { withheld: true } },
      { ownership_id: 'own-1' },
      { ownership_id: '52998224725' },
    ]);
  });

  it.each([
    ['529.982.247-25', true],
    ['12.345.678/0001-95', true],
    ['+55 11 98765-4321', true],
    ['a@b', true],
    ['c-1', false],
    ['9007199254740993', false],
    ['2026-11-20T06:10:00-03:00', false],
    ['0b9c7a51-9e64-4d0e-8f0a-1c1f3b8f6b52', false],
    ['203.0.113.7', false],
  ])('%s looks personal: %s', (text, personal) => {
    expect(looksPersonal(text)).toBe(personal);
  });
});

describe('a read that is streamed', () => {
  const pages = async function* (call: Call): AsyncGenerator<object> {
    for (const record of records) {
      noteShown(call, [record]);
      yield { data: Buffer.from(record.record_id) };
    }
  };
  const streamed = (handler: StreamHandler, call: Call, { reads }: ReturnType<typeof notebook>) =>
    (audited(reads, { ListRecords: handler }).ListRecords as StreamHandler)({}, call)[Symbol.asyncIterator]();
  const call = () => callOf('ListRecords', { responseStream: true });

  it('is begun before anything leaves, and ends with the count', async () => {
    const book = notebook();
    const messages = streamed((_, at) => pages(at), call(), book);
    await messages.next();
    expect(book.happened).toEqual(['begun']);
    while (!(await messages.next()).done);
    expect(book.happened).toEqual(['begun', 'ended']);
    expect(book.events.map(({ data }) => [data.outcome, data.count])).toEqual([
      ['interrupted', 1],
      ['answered', 3],
    ]);
    expect(new Set(book.events.map(({ event_id }) => event_id)).size).toBe(1);
  });

  it('tells how far it came when the caller goes away or it breaks off', async () => {
    const book = notebook();
    const left = streamed((_, at) => pages(at), call(), book);
    await left.next();
    await left.next();
    await left.return?.();
    const breaking = streamed(
      async function* (_, at) {
        yield* pages(at);
        throw new Error('broken');
      },
      call(),
      book,
    );
    for (let n = 0; n < 3; n += 1) await breaking.next();
    await expect(breaking.next()).rejects.toThrow('broken');
    const ended = book.events.filter((_, at) => book.happened[at] === 'ended');
    expect(ended.map(({ data }) => [data.outcome, data.count])).toEqual([
      ['cancelled', 2],
      ['failed', 3],
    ]);
  });

  it('shows nothing that cannot be recorded, and no more once it is taken for interrupted', async () => {
    await expect(streamed((_, at) => pages(at), call(), notebook(new AppError('unavailable', 'away'))).next()).rejects.toMatchObject({
      code: 'unavailable',
    });
    const book = notebook();
    const messages = streamed((_, at) => pages(at), call(), book);
    await messages.next();
    book.gone.abort(new AppError('unavailable', 'lost'));
    await expect(messages.next()).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('of nothing is recorded, one that is refused at its beginning is not', async () => {
    const book = notebook();
    const nothing = async function* (): AsyncGenerator<object> {};
    expect((await streamed(nothing, call(), book).next()).done).toBe(true);
    const refusing = async function* (): AsyncGenerator<object> {
      yield* nothing();
      throw new AppError('invalid_request', 'no');
    };
    await expect(streamed(refusing, call(), book).next()).rejects.toMatchObject({ code: 'invalid_request' });
    expect(book.happened).toEqual(['recorded']);
  });
});

describe('of the methods', () => {
  it('those that show records are reads; proofs and changes are not', () => {
    const unread = methods.filter((method) => !isRead(method) && method.http?.verb === 'get').map(({ name }) => name);
    const known = [
      'ListLogs',
      'GetCheckpoint',
      'GetConsistencyProof',
      'GetRecordProof',
      'GetVerificationKey',
      'GetVerification',
      'GetTrace',
    ];
    expect(known).toEqual(expect.arrayContaining(unread));
    expect(methods.filter(isRead).map(({ name }) => name)).toEqual(
      expect.arrayContaining(['ListRecords', 'GetRecord', 'GetEntityHistory', 'LookupOwnership', 'GetOwnership', 'ListOwnershipRecords']),
    );
  });
});
