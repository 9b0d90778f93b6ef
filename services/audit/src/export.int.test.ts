import { AppError } from '@biz/errors';
import { loadContract, renderJson } from '@biz/protos';
import { type CallContext, createRpcClient, type RpcClient } from '@biz/rpc';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordId } from './keys.ts';
import { type AuditHarness, auditHarness, contextOf, envelope } from './testing/harness.ts';

interface Line {
  cursor: string;
  record_id: string;
  [name: string]: unknown;
}
type Filters = Record<string, unknown>;

const PARTITIONS = 3;
const model = loadContract().message('biz.audit.v1.Record');
const secret = 'Zuleica Prado';
const auditorA = contextOf(['auditor'], ['company-a']);
const dpoA = contextOf(['dpo'], ['company-a']);
const adminA = contextOf(['admin'], ['company-a']);
const dpoB = contextOf(['dpo'], ['company-b']);
const platform = contextOf(['auditor', 'dpo'], ['*']);
/** Of what was sent: that it is read makes records, too. */
const sent = { producer_service: 'loyalty_service' };

let audit: AuditHarness;
let call: ReturnType<AuditHarness['client']>;
let client: RpcClient;
let serial = 0;

/** Records of company A, a few of B and of none, dealt out to the partitions; each call's are some minutes older than those of the one before. */
async function send(count: number): Promise<void> {
  const first = serial;
  serial += count;
  const messages = Array.from({ length: count }, (_, index) => {
    const number = first + index;
    const minute = 50 - 2 * Math.floor(first / 20) + (index % 5);
    const company = number % 10 === 9 ? { company_id: 'company-b' } : number % 10 === 8 ? {} : { company_id: 'company-a' };
    const one = envelope({
      timestamp: new Date(Date.UTC(2026, 10, 20, 9, minute)).toISOString(),
      event_type: ['card.created', 'card.changed', 'invoice.created'][number % 3] as string,
      trace_id: `${number % 4}`.repeat(32),
      payload: { id: number % 3 === 2 ? `i-${number}` : `c-${number % 2}`, name: secret, big: '{{big}}' },
      metadata: { ...company, ownership_id: `own-${number % 3}`, owner_id: `u-${number % 2}` },
    });
    return { value: JSON.stringify(one).replace('"{{big}}"', '12345678901234567890.10'), partition: number % PARTITIONS };
  });
  for (const { value, partition } of messages) await audit.send([{ value }], partition);
  // An entity comes from several partitions here, and heads may be behind the log.
  await until(async () => (await audit.collections.events.countDocuments({ ...sent, kind: 'event' })) === serial, { what: 'the records' });
  await until(async () => (await audit.collections.logs.find().toArray()).every(({ size, applied }) => size === applied), {
    what: 'heads',
  });
  await untilCounted();
}

/** Until every record is below its log's size. */
async function untilCounted(): Promise<void> {
  const records = await audit.collections.events.find({ ...sent, kind: 'event' }).toArray();
  await until(
    async () => {
      const sizes = new Map((await audit.collections.logs.find().toArray()).map(({ _id, size }) => [_id, size]));
      return records.every(({ log_id, leaf_index }) => leaf_index < (sizes.get(log_id) ?? 0));
    },
    { what: 'the logs' },
  );
}

async function textOf(request: Filters, who: CallContext): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const { data } of client.stream<{ data?: Uint8Array }>('ExportRecords', request, who)) parts.push(data ?? Buffer.alloc(0));
  return Buffer.concat(parts).toString();
}

async function exported(filters: Filters, who: CallContext, cursor = ''): Promise<Line[]> {
  const text = await textOf({ ...sent, ...filters, ...(cursor && { cursor }) }, who);
  return text.split('\n').flatMap((line) => (line ? [JSON.parse(line)] : []));
}

/** The same by pages of the list. */
async function listed(filters: Filters, who: CallContext): Promise<{ record_id: string }[]> {
  const all: { record_id: string }[] = [];
  for (let page_token: string | undefined = ''; page_token !== undefined; ) {
    type Page = { items?: { record_id: string }[]; next_page_token?: string };
    const page: Page = await call<Page>('ListRecords', { ...sent, ...filters, ...(page_token && { page_token }) }, who);
    all.push(...(page.items ?? []));
    page_token = page.next_page_token || undefined;
  }
  return all;
}

const ids = (records: readonly { record_id: string }[]) => records.map(({ record_id }) => record_id);
const sorted = (records: readonly { record_id: string }[]) => ids(records).sort();

beforeAll(async () => {
  audit = await auditHarness({ partitions: PARTITIONS });
  // Small, so that there are many batches, and many steps in which little or nothing is found.
  const service = await audit.start({}, { EXPORT_BATCH: '4', EXPORT_SPAN: '7', CHECKPOINT_EVERY_MS: '3600000' });
  call = audit.client(service.address);
  client = createRpcClient({
    contract: loadContract(),
    service: 'biz.audit.v1.ExportService',
    address: service.address,
    tls: audit.tls.tls('gateway'),
  });
  await send(40);
});
afterAll(async () => {
  client?.[Symbol.dispose]();
  await audit[Symbol.asyncDispose]();
});

/** One for each way to walk: along the logs, and through every index. */
const ways: [string, Filters, CallContext][] = [
  ['everything', {}, platform],
  ['a company', {}, auditorA],
  ['a company’s event type', { event_type: 'card.changed' }, auditorA],
  ['an action of a company', { action_type: 'new' }, auditorA],
  ['an entity type of any company', { entity_type: 'invoice' }, platform],
  ['an entity', { entity_type: 'card', entity_id: 'c-1' }, auditorA],
  ['an id of any company', { entity_id: 'c-1' }, platform],
  ['an ownership', { ownership_id: 'own-1' }, auditorA],
  ['an owner, one event type', { owner_id: 'u-1', event_type: 'card.changed' }, auditorA],
  ['a trace', { trace_id: '3'.repeat(32) }, platform],
  ['a time', { from: '2026-11-20T09:44:00Z', to: '2026-11-20T09:53:00Z' }, platform],
  ['a company’s time', { from: '2026-11-20T09:44:00Z' }, auditorA],
  ['one company of all', { company_id: 'company-b' }, platform],
];

describe('an export', () => {
  it.each(ways)('has what the list has, each record once: %s', async (_, filters, who) => {
    const [lines, list] = [await exported(filters, who), await listed(filters, who)];
    expect(lines.length).toBeGreaterThan(2);
    expect(sorted(lines)).toEqual(sorted(list));
    expect(new Set(lines.map(({ cursor }) => cursor)).size).toBe(lines.length);
  });

  it.each([
    ['auditor', auditorA],
    ['dpo', dpoA],
    ['admin', adminA],
  ])('shows what a list shows: %s', async (_, who) => {
    const list = new Map((await listed({}, who)).map((item) => [item.record_id, renderJson(model, item)]));
    const lines = (await textOf(sent, who)).trimEnd().split('\n');
    expect(lines.length).toBe(list.size);
    for (const line of lines) expect(line.replace(/^\{"cursor":"[^"]+",/, '{')).toBe(list.get(JSON.parse(line).record_id));
    const text = lines.join('\n');
    expect(text.includes(secret)).toBe(who === dpoA);
    expect(text.includes('12345678901234567890.10')).toBe(who === dpoA);
    expect(text.includes('203.0.113.7')).toBe(who !== adminA);
  });

  it('is of the caller’s companies only', async () => {
    expect(await exported({ company_id: 'company-a' }, dpoB)).toEqual([]);
    expect(sorted(await exported({}, dpoB))).toEqual(sorted(await exported({ company_id: 'company-b' }, platform)));
    expect(await exported({}, contextOf(['dpo'], ['company-none']))).toEqual([]);
  });

  it('may be CSV or OCSF, and a cursor of one continues another', async () => {
    const lines = await exported({}, auditorA);
    const csv = (await textOf({ ...sent, format: 'csv' }, auditorA)).trimEnd().split('\r\n');
    expect(csv[0]).toMatch(/^record_id,.*,cursor$/);
    expect(csv.slice(1).map((row) => row.split(',')[0])).toEqual(ids(lines));
    const cursor = csv[10]?.split(',').at(-1) as string;
    expect(ids(await exported({}, auditorA, cursor))).toEqual(ids(lines).slice(10));
    const rest = (await textOf({ ...sent, format: 'csv', cursor }, auditorA)).trimEnd().split('\r\n');
    expect(rest).toEqual(csv.slice(11));
    const ocsf = (await textOf({ ...sent, format: 'ocsf', cursor }, auditorA)).trimEnd().split('\n');
    expect(ocsf.map((line) => JSON.parse(line)).map(({ class_uid, unmapped }) => [class_uid, unmapped.record_id])).toEqual(
      ids(lines)
        .slice(10)
        .map((id) => [3004, id]),
    );
  });

  it('is recorded as one read with its count', async () => {
    const trace_id = 'e'.repeat(32);
    const lines = await exported({}, { ...auditorA, trace_id });
    const event = await until(() => audit.collections.events.findOne({ event_type: 'audit.read', trace_id }), { what: 'the read' });
    const [shown] = await listed({ producer_service: 'audit_service', trace_id }, dpoA);
    expect(JSON.parse((shown as unknown as { payload: string }).payload)).toMatchObject({ count: lines.length, outcome: 'answered' });
    expect(event.action_type).toBe('new');
  });
});

describe('a cursor', () => {
  it.each(ways)('continues after its record: %s', async (_, filters, who) => {
    const lines = await exported(filters, who);
    for (const at of new Set([0, 3, Math.floor(lines.length / 2), lines.length - 1])) {
      expect(ids(await exported(filters, who, lines[at]?.cursor))).toEqual(ids(lines).slice(at + 1));
    }
  });

  it('survives what comes later, however old it says it is', async () => {
    const before = new Map<string, Line[]>();
    for (const [what, filters, who] of ways) before.set(what, await exported(filters, who));
    await send(20);
    for (const [what, filters, who] of ways) {
      const known = before.get(what) as Line[];
      const all = sorted(await listed(filters, who));
      const late = all.filter((id) => !ids(known).includes(id));
      expect(late.length, what).toBeGreaterThan(0);
      const since = await exported(filters, who, known.at(-1)?.cursor);
      expect(sorted(since), what).toEqual(late);
      const cut = Math.floor(known.length / 3);
      const rest = await exported(filters, who, known[cut]?.cursor);
      expect([...ids(known).slice(0, cut + 1), ...ids(rest)].sort(), what).toEqual(all);
      before.set(what, [...known, ...since]);
    }
    // Cut off among the late ones, and more come.
    await send(20);
    for (const [what, filters, who] of ways) {
      const known = before.get(what) as Line[];
      const all = sorted(await listed(filters, who));
      for (const at of [known.length - 2, known.length - 1]) {
        const rest = await exported(filters, who, known[at]?.cursor);
        expect([...ids(known).slice(0, at + 1), ...ids(rest)].sort(), what).toEqual(all);
      }
    }
  });

  it('is of its filters and companies; anything else is refused', async () => {
    const [first] = await exported({}, auditorA);
    const refused = async (cursor: string, filters: Filters = {}, who = auditorA) => {
      const error = await exported(filters, who, cursor).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(AppError);
      expect(error).toMatchObject({ code: 'invalid_request', faults: [{ path: '/cursor' }] });
    };
    await refused(first?.cursor as string, { event_type: 'card.created' });
    await refused(first?.cursor as string, {}, dpoB);
    await refused(first?.cursor as string, {}, platform);
    await refused('{"$ne":null}');
    await refused(`${first?.cursor}~x`);
  });

  it('leaves alone what its log does not count yet, and finds it afterwards', async () => {
    const { logs, records, events } = audit.collections;
    const [log, one] = [await logs.findOne(), await events.findOne({ ...sent, company_id: 'company-a' })];
    if (!log || !one) throw new Error('nothing there');
    // A log of which a batch is inserted in part: what comes before its only record is not there.
    const log_id = `${audit.topic}-7`;
    const _id = recordId(log_id, 1);
    await logs.insertOne({ ...log, _id: log_id, size: 0, applied: 0 });
    await records.insertOne({ ...one, _id, log_id, leaf_index: 1, event_id: 'half', entity_key: 'half', version: 1 });
    const of = ways.filter(
      ([, { entity_id, ...filters }]) =>
        !entity_id &&
        Object.entries(filters).every(([name, value]) => name === 'from' || name === 'to' || one[name as 'owner_id'] === value),
    );
    expect(of.length).toBeGreaterThan(3);
    const known: Line[][] = [];
    for (const [, filters, who] of of) known.push(await exported(filters, who));
    for (const lines of known) expect(ids(lines)).not.toContain(_id);
    await logs.updateOne({ _id: log_id }, { $set: { size: 2, applied: 2 } });
    for (const [index, [what, filters, who]] of of.entries()) {
      expect(ids(await exported(filters, who, known[index]?.at(-1)?.cursor)), what).toEqual([_id]);
    }
  });
});
