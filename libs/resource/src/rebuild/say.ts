import type { RebuildReport, RestoreReport, Sample } from '@biz/eventstore';

/** Printed when something takes longer, and then as often, in milliseconds. */
const EVERY_MS = 2_000;

/** Lets a text through at most every two seconds. */
export function createProgress(print: (line: string) => void, now: () => number = () => performance.now()): (text: string) => void {
  let last = now();
  return (text) => {
    if (now() - last < EVERY_MS) return;
    last = now();
    print(`… ${text}`);
  };
}

export function number(value: number): string {
  return value.toLocaleString('en');
}

/** One line a type, and the ids of what was found. */
export function rebuildLines({ types, claims, duplicates }: RebuildReport): string[] {
  const lines = Object.entries(types).flatMap(([type, { entities, differing, missing, extra, incomplete }]) => [
    `${type}: ${number(entities)} compared, ${number(differing.count)} differ, ${number(missing.count)} missing, ${number(extra.count)} extra`,
    ...sampleLines('differ', differing),
    ...sampleLines('missing', missing),
    ...sampleLines('extra (no events)', extra),
    ...sampleLines('cannot be folded, left as they are', incomplete),
  ]);
  return [
    ...lines,
    ...(claims > 0 ? [`unique values not held: ${number(claims)}`] : []),
    ...sampleLines('have a unique value that another entity has', duplicates),
  ];
}

export function restoreLines({ events, missing, differing, refused, without_address, erased }: RestoreReport): string[] {
  return [
    `events: ${number(events)} in the audit, ${number(missing.count)} missing, ${number(differing.count)} differ`,
    ...sampleLines('missing', missing),
    ...sampleLines('differ, left as they are', differing),
    ...sampleLines('not of this service', refused),
    ...(without_address > 0 ? [`  without the owner's address (dropped by retention): ${number(without_address)}`] : []),
    ...(erased > 0 ? [`  without blind indexes (key destroyed): ${number(erased)}`] : []),
  ];
}

function sampleLines(what: string, { count, ids }: Sample): string[] {
  if (count === 0) return [];
  const more = count > ids.length ? ` … and ${number(count - ids.length)} more` : '';
  return [`  ${what}: ${ids.map(printable).join(' ')}${more}`];
}

/** An id may be anybody's text: no control character reaches a terminal. */
function printable(id: string): string {
  return JSON.stringify(id)
    .slice(1, -1)
    .replaceAll(/[^\x20-\x7e]/g, '?');
}

/** What follows: written in a real run, found in a dry one. */
export function totals(report: RebuildReport): { compared: number; written: number; removed: number; left: number } {
  const sums = { compared: 0, written: 0, removed: 0, left: report.duplicates.count };
  for (const { entities, differing, missing, extra, incomplete } of Object.values(report.types)) {
    sums.compared += entities;
    sums.written += differing.count + missing.count;
    sums.removed += extra.count;
    sums.left += incomplete.count;
  }
  return sums;
}
