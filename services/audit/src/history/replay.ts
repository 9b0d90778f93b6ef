import { Fold, type Folded, type Step } from './fold.ts';
import { type Order, OrderScan, type Outline } from './order.ts';
import type { Source } from './source.ts';

/** Records of an entity up to one of its versions; with a time, of those the ones that happened then or before, with all before them. */
export interface Mark {
  version: number;
  at?: Date;
}

/** Records that belong elsewhere in the order are fetched this many at once. */
const LATE_AT_ONCE = 200;

/**
 * The entity at each mark; marks are in ascending order of version. One pass over the records, unless they came out of order: then the rest
 * of the pass is for the order alone, and each mark from there on takes another one for the fold.
 */
export async function foldAt(source: Source, marks: readonly Mark[], maxSize: number): Promise<Folded[]> {
  const found = marks.filter(({ version }) => version === 0).map(() => new Fold(maxSize).result());
  const last = marks.at(-1);
  const scan = new OrderScan(last?.at);
  const fold = new Fold(maxSize);
  for await (const steps of source.steps(last?.version ?? 0)) {
    for (const step of steps) {
      scan.add(step);
      if (!scan.inOrder) return [...found, ...(await foldEach(source, scan, step.version, marks.slice(found.length), maxSize))];
      fold.push(step);
      while (marks[found.length]?.version === step.version) found.push(fold.result());
    }
  }
  return found;
}

/** The entity at marks beyond the version that the scan has come to. */
async function foldEach(source: Source, scan: OrderScan, scanned: number, marks: readonly Mark[], maxSize: number): Promise<Folded[]> {
  const found: Folded[] = [];
  let from = scanned;
  for (const { version } of marks) {
    for await (const outlines of source.outlines(from, version)) for (const one of outlines) scan.add(one);
    from = version;
    const fold = new Fold(maxSize);
    for await (const step of inOrder(source, version, scan.result())) fold.push(step);
    found.push(fold.result());
  }
  return found;
}

/** Two sorted lists become one: the late ones, a few at a time, and all others as they come. */
async function* inOrder(source: Source, upTo: number, { late, last, compare }: Order): AsyncGenerator<Step> {
  const isLate = new Set(late.map(({ version }) => version));
  const wanted = (one: Outline) => last !== null && compare(one, last) <= 0;
  const waiting = lateSteps(source, late.filter(wanted));
  let next = await waiting.next();
  for await (const steps of source.steps(upTo)) {
    for (const step of steps) {
      if (isLate.has(step.version)) continue;
      for (; !next.done && compare(next.value, step) < 0; next = await waiting.next()) yield next.value;
      if (!wanted(step)) return;
      yield step;
    }
  }
  for (; !next.done; next = await waiting.next()) yield next.value;
}

async function* lateSteps(source: Source, late: readonly Outline[]): AsyncGenerator<Step, undefined> {
  for (let from = 0; from < late.length; from += LATE_AT_ONCE) {
    yield* await source.fetch(late.slice(from, from + LATE_AT_ONCE).map(({ record_id }) => record_id));
  }
}
