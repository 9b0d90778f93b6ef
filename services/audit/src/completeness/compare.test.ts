import type { Head } from '@biz/reconciliation';
import { describe, expect, it } from 'vitest';
import { judge, namesAll, patience } from './compare.ts';
import { missingEvent, presentFinding, versionDiffers } from './finding.ts';

const head = (version: number, settled_version: number): Head => ({
  ...{ entity_type: 'team', entity_id: 't', company_id: 'c', version, last_event_id: 'e', last_event_at: '', published: true },
  ...{ settled_version, settled_event_id: settled_version > 0 ? 'e' : '' },
});

describe('a head compared with the records', () => {
  it.each([
    ['all of it recorded', head(3, 3), { eventVersion: 3, entityVersion: 3 }, { behind: false, ahead: false }],
    ['heads of the audit that lag behind its records', head(3, 3), { eventVersion: 3, entityVersion: 1 }, { behind: false, ahead: false }],
    ['recorded in another order after it was healed', head(3, 3), { eventVersion: 2, entityVersion: 3 }, { behind: false, ahead: false }],
    ['nothing settled yet', head(3, 0), { eventVersion: undefined, entityVersion: 0 }, { behind: false, ahead: false }],
    ['the last ones on their way', head(5, 3), { eventVersion: 3, entityVersion: 3 }, { behind: false, ahead: false }],
    ['the audit ahead of what is settled', head(5, 3), { eventVersion: 3, entityVersion: 5 }, { behind: false, ahead: false }],
    ['the last one missing', head(3, 3), { eventVersion: undefined, entityVersion: 2 }, { behind: true, ahead: false }],
    ['one in between missing', head(3, 3), { eventVersion: 2, entityVersion: 2 }, { behind: true, ahead: false }],
    ['nothing recorded', head(1, 1), { eventVersion: undefined, entityVersion: 0 }, { behind: true, ahead: false }],
    ['records that the service has no events for', head(2, 2), { eventVersion: 2, entityVersion: 4 }, { behind: false, ahead: true }],
    ['both at once', head(2, 2), { eventVersion: undefined, entityVersion: 4 }, { behind: true, ahead: true }],
  ])('%s', (_, one, known, verdict) => {
    expect(judge(one, known)).toEqual(verdict);
  });
});

it.each([
  [[1, 2, 3], true],
  [[1, 3, 2], true],
  [[], true],
  [[1, 3], false],
  [[1, 2, 2], false],
  [[0, 1], false],
  [[1, undefined], false],
  [[7], false],
])('records that name the versions %j are all of them: %s', (versions, all) => {
  expect(namesAll(versions)).toBe(all);
});

it('an event is asked for ever more rarely, once an hour at the end', () => {
  expect([1, 2, 3, 8, 400].map((count) => patience(30_000, count))).toEqual([30_000, 60_000, 120_000, 3_600_000, 3_600_000]);
  expect(patience(0, 1)).toBe(1_000);
});

describe('a finding', () => {
  const at = new Date('2026-11-21T12:00:00Z');
  const about = { company_id: 'c', entity_type: 'team', entity_id: 't', event_id: 'e-1', named_version: 3 };

  it('is one for what it is about, whenever it is found', () => {
    expect(missingEvent('team', about, at)._id).toBe('missing_event:team:e-1');
    expect(missingEvent('team', about, new Date())._id).toBe('missing_event:team:e-1');
    expect(versionDiffers({ ...about, record_id: 'audit-0.000000000007', version: 2 }, at)._id).toBe(
      'version_differs:audit-0.000000000007',
    );
  });

  it('is presented without what nobody needs, and without what it has not', () => {
    expect(presentFinding(missingEvent('team', { ...about, company_id: null }, at))).toEqual({
      ...{ id: 'missing_event:team:e-1', kind: 'missing_event', status: 'open', entity_type: 'team', entity_id: 't', event_id: 'e-1' },
      ...{ named_version: 3, service: 'team', found_at: '2026-11-21T12:00:00.000Z', republish_count: 0 },
    });
  });
});
