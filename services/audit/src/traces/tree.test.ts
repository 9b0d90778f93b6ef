import { expect, test } from 'vitest';
import { type Span, spanOf, timeOf } from './span.ts';
import { batchesOf, batchSpans, inOrder, isWhole, ownSpans } from './tree.ts';

let clock = 0n;
function span(id: string, parentId?: string, more: Partial<Span> = {}): Span {
  clock += 1_000n;
  return {
    traceId: 't',
    id,
    parentId,
    service: 's',
    name: id,
    kind: 'internal',
    start: clock,
    duration: 10n,
    status: 'unset',
    attributes: {},
    links: [],
    ...more,
  };
}
const of = (company: string) => ({ attributes: { 'biz.company_id': company } });
const ids = (spans: readonly Span[]) => spans.map(({ id }) => id);
const shape = (spans: readonly Span[]) => inOrder(spans).map(({ span: { id }, depth }) => `${'.'.repeat(depth)}${id}`);

test('a span is of the company that it names, else of its parent', () => {
  const spans = [span('gateway', 'unknown', of('a')), span('rpc', 'gateway'), span('append', 'rpc'), span('poller')];
  expect(ids(ownSpans(spans, ['a']))).toEqual(['gateway', 'rpc', 'append']);
  expect(ids(ownSpans(spans, ['b']))).toEqual([]);
  expect(ids(ownSpans(spans, 'all'))).toEqual(['gateway', 'rpc', 'append', 'poller']);
});

test('who joins a known trace sees and shows nothing but its own, wherever it hangs itself', () => {
  const spans = [span('gateway', undefined, of('a')), span('rpc', 'gateway'), span('joined', 'rpc', of('b')), span('theirs', 'joined')];
  expect(ids(ownSpans(spans, ['a']))).toEqual(['gateway', 'rpc']);
  expect(ids(ownSpans(spans, ['b']))).toEqual(['joined', 'theirs']);
});

test('parents in a ring are of nobody, and end', () => {
  const spans = [span('x', 'y'), span('y', 'x')];
  expect(ownSpans(spans, ['a'])).toEqual([]);
  expect(shape(spans)).toEqual(['x', '.y']);
});

test('batches are found by the links of messages; of a batch its own spans are taken, without what tells of others', () => {
  const link = { traceId: 'b', id: 'batch' };
  const message = span('publish', 'rpc', { kind: 'producer', links: [link] });
  expect(batchesOf([message, span('other', undefined, { links: [{ traceId: 'z', id: 'z' }] })])).toEqual([link]);

  const counts = { 'messaging.batch.message_count': 3, 'db.namespace': 'audit' };
  const batch = span('batch', undefined, {
    traceId: 'b',
    attributes: counts,
    links: [
      { traceId: 't', id: 'publish' },
      { traceId: 'q', id: 'q' },
    ],
  });
  const beside = [
    batch,
    span('update', 'batch', { traceId: 'b' }),
    span('alien', 'batch', { traceId: 'b', ...of('z') }),
    span('not below', undefined, { traceId: 'b' }),
  ];
  const mine = batchSpans(beside, [link], ['a']);
  expect(ids(mine)).toEqual(['batch', 'update']);
  expect(mine[0]?.attributes).toEqual({ 'db.namespace': 'audit' });
  expect(batchSpans(beside, [link], 'all')[0]?.attributes).toEqual(counts);
  // a batch's links lead to other people's messages
  expect(batchesOf([batch])).toEqual([]);
});

test('each comes after what it belongs to, a batch after the message that leads to it, siblings by time', () => {
  const root = span('gateway');
  const publish = span('publish', 'rpc', { kind: 'producer', links: [{ traceId: 'b', id: 'batch' }] });
  const late = span('late', 'gateway');
  const rpc = span('rpc', 'gateway', { start: root.start + 1n });
  const batch = span('batch', undefined, { traceId: 'b' });
  expect(shape([late, batch, publish, root, span('insert', 'batch', { traceId: 'b' }), rpc])).toEqual([
    'gateway',
    '.rpc',
    '..publish',
    '...batch',
    '....insert',
    '.late',
  ]);
});

test('it is whole when no span that another one names is missing, but for what came from outside', () => {
  expect(isWhole([span('gateway', 'of-the-caller', of('a')), span('rpc', 'gateway')], [])).toBe(true);
  expect(isWhole([span('gateway', undefined, of('a')), span('append', 'rpc')], [])).toBe(false);
  expect(isWhole([span('gateway', undefined, of('a'))], [{ traceId: 'b', id: 'batch' }])).toBe(false);
});

test('times are exact to the microsecond, as the collector writes them', () => {
  const at = (timestamp: string) => timeOf(spanOf({ '@timestamp': timestamp, trace_id: 't', span_id: 's', duration: 1 }).start);
  expect(at('1795283283334.0')).toBe('2026-11-21T17:48:03.334000Z');
  // no leading zeros: 5,000 ns, not half a millisecond
  expect(at('1795283283334.5000')).toBe('2026-11-21T17:48:03.334005Z');
  expect(at('1795283283334.999999')).toBe('2026-11-21T17:48:03.334999Z');
  expect(at('2026-11-21T17:48:03.334Z')).toBe('2026-11-21T17:48:03.334000Z');
});
