import { createHash, randomUUID } from 'node:crypto';
import { createOutbox, type EventDocument, type Outbox } from '@biz/eventstore';
import { canonicalJson } from '@biz/json';
import { createKeyring, readKek } from '@biz/sealing';
import { until } from '@biz/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMongoStore } from './ingest/mongo-store.ts';
import { type LetterParts, replayLetter } from './letters/replay.ts';
import { type AuditHarness, auditHarness, contextOf, envelope } from './testing/harness.ts';

interface Letter {
  id: string;
  code: string;
  offset: number;
  status: string;
  raw_base64?: string;
  sealed_fields?: string[];
  replayed_event_id?: string;
  replayed_by?: string;
}
interface Letters {
  items?: Letter[];
  next_page_token?: string;
}

let audit: AuditHarness;
let call: ReturnType<AuditHarness['client']>;
const platform = contextOf(['auditor', 'dpo'], ['*']);
const secret = 'Zuleica Prado';

beforeAll(async () => {
  audit = await auditHarness();
  const service = await audit.start();
  call = audit.client(service.address);
});
afterAll(() => audit[Symbol.asyncDispose]());

/** A message that nobody can read, and the letter of it. */
async function letterOf(value: string | object, headers?: Record<string, string>): Promise<Letter> {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const [place] = await audit.send([{ value: text, ...(headers && { headers }) }]);
  return until(
    async () => {
      const { items = [] } = await call<Letters>('ListDeadLetters', { page_size: 200 }, platform);
      return items.find(({ offset }) => offset === place?.offset);
    },
    { what: 'the letter' },
  );
}

const get = (id: string, who = platform) => call<Letter>('GetDeadLetter', { id }, who);
const replay = (id: string, corrected?: object, who = platform) =>
  call<Letter>('ReplayDeadLetter', { id, ...(corrected && { envelope: JSON.stringify(corrected) }) }, who);
const recordOf = (eventId: string) =>
  until(() => audit.collections.events.findOne({ event_id: eventId, kind: 'event' }), { what: `the record of ${eventId}` });
const replays = (id: string) =>
  audit.database.db.collection<EventDocument>('events').find({ type: 'dead_letter.replayed', 'meta.entity_id': id }).toArray();

function without(name: string, one: ReturnType<typeof envelope>): ReturnType<typeof envelope> {
  const { [name]: _, ...metadata } = one.metadata;
  return { ...one, metadata };
}

describe('a dead letter', () => {
  it('shows its bytes to a data protection officer of the platform, and exists for nobody else', async () => {
    const broken = `{"payload": {"name": "${secret}"}`;
    const { id } = await letterOf(broken);
    expect(await get(id)).toMatchObject({ code: 'invalid_json', status: 'open', raw_base64: Buffer.from(broken).toString('base64') });
    const closed = await get(id, contextOf(['auditor'], ['*']));
    expect([closed.raw_base64 ?? '', closed.sealed_fields]).toEqual(['', ['raw_base64']]);
    const dpoA = contextOf(['dpo'], ['company-a']);
    await expect(get(id, dpoA)).rejects.toMatchObject({ code: 'not_found' });
    await expect(replay(id, envelope(), dpoA)).rejects.toMatchObject({ code: 'not_found' });
    await expect(replay(id, envelope(), contextOf(['auditor'], ['*']))).rejects.toMatchObject({ code: 'no_role' });
    await expect(replay('audit-0.9', envelope())).rejects.toMatchObject({ code: 'not_found' });
  });

  it('becomes a record once it is corrected, and says so; its bytes stay', async () => {
    const bad = without('owner_id', envelope({ payload: { id: 'c-9', big: 1, name: secret }, metadata: { company_id: 'company-a' } }));
    const { id, code } = await letterOf(bad);
    expect(code).toBe('invalid_envelope');
    const good = { ...bad, metadata: { ...bad.metadata, owner_id: 'u-9' } as Record<string, unknown> };
    const marked = await replay(id, good);
    const eventId = String(good.metadata.event_id);
    expect(marked).toMatchObject({ status: 'replayed', replayed_event_id: eventId, replayed_by: 'u-test', code: 'invalid_envelope' });
    expect(marked.raw_base64).toBe(Buffer.from(JSON.stringify(bad)).toString('base64'));
    expect(await recordOf(eventId)).toMatchObject({ owner_id: 'u-9', company_id: 'company-a', entity_id: 'c-9' });
    const [own, ...more] = await replays(id);
    expect(more).toEqual([]);
    expect(own?.meta).toMatchObject({ owner_id: 'u-test', company_id: 'company-a', entity_type: 'dead_letter' });
    expect(own?.data).toEqual({ id, code, event_id: eventId, corrected: true, earlier_event_ids: [] });
    expect(await recordOf(own?._id ?? '')).toMatchObject({ event_type: 'dead_letter.replayed', version: 1 });
    expect(JSON.stringify(await audit.collections.deadLetters.findOne({ _id: id }))).not.toContain(secret);
  });

  it('that would be one again is refused with every fault', async () => {
    const { id } = await letterOf('{');
    const bad = without('owner_id', without('ownership_id', envelope({ event_type: 'Not Good' })));
    await expect(replay(id, bad)).rejects.toMatchObject({
      code: 'invalid_request',
      faults: [{ path: '/envelope/event_type' }, { path: '/envelope/metadata/owner_id' }, { path: '/envelope/metadata/ownership_id' }],
    });
    await expect(replay(id, envelope({ metadata: { event_schema_version: '9.0' } }))).rejects.toMatchObject({
      faults: [{ path: '/envelope/metadata/event_schema_version' }],
    });
    await expect(replay(id)).rejects.toMatchObject({ code: 'invalid_request' });
    expect(await get(id)).toMatchObject({ status: 'open' });
    expect(await replays(id)).toEqual([]);
  });

  it('of an event id that is taken needs another one', async () => {
    const first = envelope({ payload: { id: 'c-10', n: 1 } });
    await audit.send([first]);
    await recordOf(String(first.metadata.event_id));
    const { id, code } = await letterOf({ ...first, payload: { id: 'c-10', n: 2 } });
    expect(code).toBe('event_id_conflict');
    await expect(replay(id)).rejects.toMatchObject({ faults: [{ path: '/metadata/event_id' }] });
    const other = randomUUID();
    await replay(id, { ...first, payload: { id: 'c-10', n: 2 }, metadata: { ...first.metadata, event_id: other } });
    expect(await recordOf(other)).toMatchObject({ entity_id: 'c-10', version: 2 });
  });

  it('is replayed as it is once the reader is fixed, under the event id of its header', async () => {
    const headerId = randomUUID();
    const plain = without('event_id', envelope({ payload: { id: 'c-11', padding: 'x'.repeat(2_000) } }));
    // A process that reads less than the one that replays.
    const name = `${audit.name}-narrow`;
    const topic = `${audit.topic}-narrow`;
    await audit.bus.ensureTopics([{ topic, partitions: 1 }]);
    const narrow = await audit.start({}, { CONSUMER_GROUP: name, AUDIT_TOPIC: topic, ENVELOPE_MAX_BYTES: '1000' });
    const [place] = await audit.send([{ value: JSON.stringify(plain), headers: { event_id: headerId } }], undefined, topic);
    const letter = await until(() => audit.collections.deadLetters.findOne({ topic, offset: place?.offset ?? -1 }), { what: 'the letter' });
    expect(letter.code).toBe('too_large');
    await expect(audit.client(narrow.address)('ReplayDeadLetter', { id: letter._id }, platform)).rejects.toMatchObject({
      code: 'invalid_request',
    });
    await narrow[Symbol.asyncDispose]();
    expect(await replay(letter._id)).toMatchObject({ status: 'replayed', replayed_event_id: headerId });
    expect(await recordOf(headerId)).toMatchObject({ entity_id: 'c-11' });
  });

  it('replayed again is the same event; as another it is refused', async () => {
    const { id } = await letterOf('not json');
    const good = without('event_id', envelope({ payload: { id: 'c-12' } }));
    const eventId = createHash('sha256')
      .update(canonicalJson(JSON.parse(JSON.stringify(good))))
      .digest('hex');
    const answers = await Promise.all([replay(id, good), replay(id, good), replay(id, good)]);
    expect(answers.map(({ replayed_event_id }) => replayed_event_id)).toEqual([eventId, eventId, eventId]);
    await recordOf(eventId);
    await expect(replay(id, envelope({ payload: { id: 'c-12' } }))).rejects.toMatchObject({ code: 'conflict' });
    expect(await replays(id)).toHaveLength(1);
    expect(await audit.collections.events.countDocuments({ entity_id: 'c-12' })).toBe(1);
  });
});

describe('the letters', () => {
  it('are listed by code and by what became of them', async () => {
    const open = await letterOf('[');
    const list = async (filters: object) => (await call<Letters>('ListDeadLetters', { page_size: 200, ...filters }, platform)).items ?? [];
    const [all, replayed, waiting] = await Promise.all([list({}), list({ status: 'replayed' }), list({ status: 'open' })]);
    expect(replayed.length + waiting.length).toBe(all.length);
    expect(replayed.every(({ status }) => status === 'replayed')).toBe(true);
    expect(waiting[0]?.id).toBe(open.id);
    const conflicts = await list({ code: 'event_id_conflict', status: 'replayed' });
    expect(conflicts.map(({ code }) => code)).toEqual(['event_id_conflict']);
    const first = await call<Letters>('ListDeadLetters', { page_size: 1, status: 'replayed' }, platform);
    const rest = await list({ status: 'replayed', page_token: first.next_page_token });
    expect([...(first.items ?? []), ...rest].map(({ id }) => id)).toEqual(replayed.map(({ id }) => id));
  });
});

describe('a replay that is cut short', () => {
  /** The parts of a process that dies at a step. */
  async function partsOf(step: string, outbox: Outbox): Promise<LetterParts> {
    const { deadLetters } = audit.collections;
    const dead = () => Promise.reject(new Error('killed'));
    const marking = (update: unknown) => JSON.stringify(update).includes('"replayed"');
    const dying = {
      findOne: deadLetters.findOne.bind(deadLetters),
      updateOne: (filter: object, update: object) => (marking(update) ? dead() : deadLetters.updateOne(filter, update)),
    };
    return {
      collections: { deadLetters: step === 'marking' ? (dying as unknown as typeof deadLetters) : deadLetters },
      keyring: createKeyring({ database: audit.keyring.db, kek: await readKek({ value: String(audit.env.KEK) }) }),
      store: createMongoStore(audit.collections),
      outbox: step === 'telling' ? { ...outbox, append: dead } : outbox,
      producer: step === 'publishing' ? { send: dead } : audit.bus.producer(),
      topic: audit.topic,
      limits: { maxBytes: 1_000_000, maxDepth: 64 },
    };
  }

  it.each(['publishing', 'telling', 'marking'])('before %s: the same again finishes, and nothing is twice', async (step) => {
    const identity = { service: 'audit_service', instance: 'test' };
    const [db, producer, log] = [audit.database.db, audit.bus.producer(), { warn: () => undefined }];
    await using outbox = await createOutbox({ db, producer, topic: audit.topic, identity, environment: 'test', keepDays: 30, log });
    const { id } = await letterOf(`cut before ${step}`);
    const letter = await audit.collections.deadLetters.findOne({ _id: id });
    if (letter === null) throw new Error('the letter is not there');
    const good = envelope({ payload: { id: `c-${step}` } });
    const eventId = String(good.metadata.event_id);
    await expect(replayLetter(await partsOf(step, outbox), letter, JSON.stringify(good), platform)).rejects.toThrow('killed');
    expect(await get(id)).toMatchObject({ status: 'open' });
    await expect(replay(id, envelope())).rejects.toMatchObject({ code: 'version_conflict' });
    expect(await replay(id, good)).toMatchObject({ status: 'replayed', replayed_event_id: eventId });
    await recordOf(eventId);
    const [own, ...more] = await replays(id);
    expect(more).toEqual([]);
    await recordOf(own?._id ?? '');
    expect(await audit.collections.events.countDocuments({ entity_id: `c-${step}` })).toBe(1);
  });

  it('because another has done it meanwhile is done, and changes nothing', async () => {
    const { id } = await letterOf('asked twice');
    const before = await audit.collections.deadLetters.findOne({ _id: id });
    if (before === null) throw new Error('the letter is not there');
    const good = envelope({ payload: { id: 'c-twice' } });
    await replay(id, good);
    const nothing: Outbox = { append: () => Promise.reject(new Error('told again')), [Symbol.asyncDispose]: async () => undefined };
    const late = await replayLetter(await partsOf('publishing', nothing), before, JSON.stringify(good), platform);
    expect(late).toMatchObject({ status: 'replayed', replayed: { event_id: good.metadata.event_id } });
  });

  it('and given up is open to another envelope after a while, which tells of the first', async () => {
    const { id } = await letterOf('given up');
    const attempt = { event_id: 'first', at: new Date(Date.now() - 61_000), by: 'u-1' };
    await audit.collections.deadLetters.updateOne({ _id: id }, { $set: { attempt, attempts: ['first'] } });
    const good = envelope({ payload: { id: 'c-second' } });
    await replay(id, good);
    expect((await replays(id))[0]?.data).toMatchObject({ event_id: good.metadata.event_id, earlier_event_ids: ['first'] });
  });
});
