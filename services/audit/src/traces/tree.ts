import { companyOf, keyOf, type Ref, type Span } from './span.ts';

/** A span with its place in the tree of all. */
export interface Placed {
  span: Span;
  depth: number;
}

/** Whose spans a reader sees; `all` for people of the platform. */
type Scope = 'all' | readonly string[];

/** Asked by the number of messages, a batch would tell how much others do. */
const ofAll = new Set(['messaging.batch.message_count', 'biz.count']);

/**
 * The spans that belong to the reader's companies. A span is of the company that it names, else of its parent's: anybody can send a request that claims to
 * be part of a known trace, so what hangs below somebody else's request is that one's, wherever it was hung. What is of nobody known is the platform's.
 */
export function ownSpans(spans: readonly Span[], scope: Scope): Span[] {
  if (scope === 'all') return [...spans];
  const byKey = indexOf(spans);
  return spans.filter((span) => {
    const company = ownerOf(span, byKey);
    return company !== undefined && scope.includes(company);
  });
}

/** Batches that messages of these spans were worked on in: links of messages to spans of other traces. */
export function batchesOf(spans: readonly Span[]): Ref[] {
  const messages = spans.filter(({ kind, attributes }) => (kind === 'producer' || kind === 'consumer') && !isBatch(attributes));
  const away = messages.flatMap(({ links, traceId }) => links.filter((link) => link.traceId !== traceId));
  return [...new Map(away.map((ref) => [keyOf(ref), ref])).values()];
}

/** Of the batches' traces what was done for the batch as such: its span and all below it, but for what is of a company that the reader is not of. */
export function batchSpans(spans: readonly Span[], batches: readonly Ref[], scope: Scope): Span[] {
  const byKey = indexOf(spans);
  const roots = new Set(batches.map(keyOf));
  const below = (span: Span) => ancestry(span, byKey).some((one) => roots.has(keyOf(one)));
  const found = spans.filter(below);
  if (scope === 'all') return found;
  const open = (company: string | undefined) => company === undefined || scope.includes(company);
  return found.filter((span) => open(ownerOf(span, byKey))).map(withoutCounts);
}

/** Each span after the one it belongs to: its parent, or for a batch the message that leads to it. Siblings in the order of their beginning. */
export function inOrder(spans: readonly Span[]): Placed[] {
  const byKey = indexOf(spans);
  const leading = new Map<string, Span>();
  const byStart = spans.toSorted((left, right) => Number(left.start - right.start));
  for (const span of byStart) {
    for (const link of span.links) if (link.traceId !== span.traceId && !leading.has(keyOf(link))) leading.set(keyOf(link), span);
  }
  const children = new Map<string, Span[]>();
  const roots: Span[] = [];
  for (const span of byStart) {
    const parent = (span.parentId && byKey.get(keyOf({ traceId: span.traceId, id: span.parentId }))) || leading.get(keyOf(span));
    if (parent === undefined) roots.push(span);
    else children.set(keyOf(parent), [...(children.get(keyOf(parent)) ?? []), span]);
  }
  return walk(roots, children, byStart);
}

/** Whether no span is missing that another one names. Who asked from outside may have sent a parent of its own, which is not ours to have. */
export function isWhole(spans: readonly Span[], batches: readonly Ref[]): boolean {
  const byKey = indexOf(spans);
  const parents = spans.flatMap((span) =>
    span.parentId === undefined || companyOf(span) !== undefined ? [] : [{ traceId: span.traceId, id: span.parentId }],
  );
  return [...parents, ...batches].every((ref) => byKey.has(keyOf(ref)));
}

/** Spans of a ring, which only somebody who means harm makes, come last, each for itself. */
function walk(roots: readonly Span[], children: ReadonlyMap<string, Span[]>, all: readonly Span[]): Placed[] {
  const placed: Placed[] = [];
  const seen = new Set<Span>();
  const open = roots.map((span) => ({ span, depth: 0 })).reverse();
  const rest = all.values();
  for (;;) {
    const next = open.pop() ?? later();
    if (next === undefined) return placed;
    if (seen.has(next.span)) continue;
    seen.add(next.span);
    placed.push(next);
    const below = children.get(keyOf(next.span)) ?? [];
    open.push(...below.map((span) => ({ span, depth: next.depth + 1 })).reverse());
  }

  function later(): Placed | undefined {
    for (const span of rest) if (!seen.has(span)) return { span, depth: 0 };
    return undefined;
  }
}

function ownerOf(span: Span, byKey: ReadonlyMap<string, Span>): string | undefined {
  for (const one of ancestry(span, byKey)) {
    const company = companyOf(one);
    if (company !== undefined) return company;
  }
  return undefined;
}

/** The span, its parent, and so on; a ring is gone through once. */
function ancestry(span: Span, byKey: ReadonlyMap<string, Span>): Span[] {
  const line = new Set<Span>();
  for (let at: Span | undefined = span; at !== undefined && !line.has(at); ) {
    line.add(at);
    at = at.parentId === undefined ? undefined : byKey.get(keyOf({ traceId: at.traceId, id: at.parentId }));
  }
  return [...line];
}

function indexOf(spans: readonly Span[]): Map<string, Span> {
  return new Map(spans.map((span) => [keyOf(span), span]));
}

function isBatch(attributes: Span['attributes']): boolean {
  return attributes['messaging.batch.message_count'] !== undefined;
}

function withoutCounts(span: Span): Span {
  const attributes = Object.fromEntries(Object.entries(span.attributes).filter(([name]) => !ofAll.has(name)));
  return { ...span, attributes };
}
