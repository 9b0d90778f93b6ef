import type { RebuildReport } from '@biz/eventstore';
import { expect, test } from 'vitest';
import { createProgress, rebuildLines, restoreLines, totals } from './say.ts';

const none = () => ({ count: 0, ids: [] });
const report: RebuildReport = {
  events: 9,
  types: {
    team: { entities: 1234, differing: { count: 2, ids: ['a', 'b'] }, missing: none(), extra: none(), incomplete: none() },
    user: { entities: 1, differing: none(), missing: none(), extra: { count: 21, ids: ['x'] }, incomplete: { count: 1, ids: ['y'] } },
  },
  claims: 3,
  duplicates: { count: 1, ids: ['team:z'] },
};

test('a report is one line a type, with the first ids of what was found', () => {
  expect(rebuildLines(report)).toEqual([
    'team: 1,234 compared, 2 differ, 0 missing, 0 extra',
    '  differ: a b',
    'user: 1 compared, 0 differ, 0 missing, 21 extra',
    '  extra (no events): x … and 20 more',
    '  cannot be folded, left as they are: y',
    'unique values not held: 3',
    '  have a unique value that another entity has: team:z',
  ]);
  expect(totals(report)).toEqual({ compared: 1235, written: 2, removed: 21, left: 2 });
});

test('an id is never more than text', () => {
  const refused = { count: 1, ids: ['\u001b[2J\r\n\u202eid"'] };
  const lines = restoreLines({ events: 1, missing: none(), differing: none(), refused, without_address: 2, erased: 1 });
  expect(lines).toEqual([
    'events: 1 in the audit, 0 missing, 0 differ',
    '  not of this service: \\u001b[2J\\r\\n?id\\"',
    "  without the owner's address (dropped by retention): 2",
    '  without blind indexes (key destroyed): 1',
  ]);
});

test('progress is told every two seconds, and not at all of what takes less', () => {
  let now = 0;
  const lines: string[] = [];
  const progress = createProgress(
    (line) => lines.push(line),
    () => now,
  );
  for (; now < 4_500; now += 500) progress(`at ${now}`);
  expect(lines).toEqual(['… at 2000', '… at 4000']);
});
