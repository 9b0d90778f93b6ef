import { describe, expect, it } from 'vitest';
import type { Count, Counts } from '../counters/counts.ts';
import { periodOf } from '../counters/period.ts';
import { summaryOf } from './alerts.ts';
import { makeReport, type Report } from './data.ts';
import { escapeHtml, html } from './html.ts';
import { reportPage } from './page.ts';
import { localeOf, locales, words } from './words.ts';

const at = (text: string) => new Date(text);
const day = (text: string, event_type: string, count: number, severity: Count['severity'] = 'INFO'): Count => ({
  ...{ at: at(`${text}T00:00:00Z`), event_type, severity, count },
});

const hostile = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='x",
  '</style><svg/onload=x>',
  '<!--',
  'javascript:x',
  '&lt;b&gt;',
  '\ud800\u0000\u202eevil',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it shall not be taken for one
  '${x}{{x}}',
];

const base: Report = await makeReport(
  {
    counts: {
      byTime: async () => [
        day('2026-11-20', 'LOGIN_SUCCESS', 1_200),
        day('2026-11-20', 'LOGIN_FAILED', 3, 'WARNING'),
        day('2026-11-21', 'LOGIN_FAILED', 2, 'WARNING'),
        day('2026-11-20', 'ACCESS_DENIED_NO_ROLE', 1, 'WARNING'),
        day('2026-11-21', 'ACCESS_DENIED_NO_ROLE', 4, 'WARNING'),
        day('2026-11-21', 'ACCESS_DENIED_WRONG_EMPRESA', 9, 'CRITICAL'),
        day('2026-11-21', 'ACCESS_GRANTED', 7),
        day('2026-11-21', 'LOGOUT', 5),
      ],
      readers: async () => ({
        readers: [
          { user_id: 'u-1', resource: '/v1/x', count: 7, first_at: at('2026-11-21T10:00:00Z'), last_at: at('2026-11-21T11:00:00Z') },
        ],
        all: 3,
      }),
    } satisfies Counts,
    alerts: async () =>
      summaryOf([
        { kind: 'failed_logins', severity: 'WARNING', answered_after_seconds: 60 },
        { kind: 'failed_logins', severity: 'WARNING', answered_after_seconds: 7_265 },
        { kind: 'cross_tenant', severity: 'CRITICAL' },
      ]),
    storages: async () => [
      { name: 'mongodb', queried: true, waiting: 0, failing_since: null },
      { name: 'file', queried: false, waiting: 12, failing_since: at('2026-11-21T09:00:00Z') },
    ],
  },
  { from: at('2026-11-20T00:00:00Z'), to: at('2026-11-22T00:00:00Z'), company_ids: ['c-1'] },
  { by: 'p-1', at: at('2026-11-22T08:00:00Z'), deadline: at('2026-11-22T08:00:10Z') },
);

describe('a report', () => {
  it('counts logins by day, refusals by kind, answers to alerts, readers', () => {
    expect(base).toMatchObject({
      period: { from: '2026-11-20T00:00:00.000Z', to: '2026-11-22T00:00:00.000Z' },
      made_by: 'p-1',
      company_ids: ['c-1'],
      logins: {
        ...{ successes: 1_200, failures: 5 },
        by_day: [
          { day: '2026-11-20', successes: 1_200, failures: 3 },
          { day: '2026-11-21', successes: 0, failures: 2 },
        ],
      },
      refusals: [
        { event_type: 'ACCESS_DENIED_WRONG_EMPRESA', severity: 'CRITICAL', count: 9 },
        { event_type: 'ACCESS_DENIED_NO_ROLE', severity: 'WARNING', count: 5 },
      ],
      alerts: { opened: 3, acknowledged: 2, open: 1, answer_seconds: { median: 60, p90: 7_265, longest: 7_265 } },
      personal_data: { openings: 7, readers_omitted: 2 },
      storages: [
        { name: 'mongodb', status: 'ok' },
        { name: 'file', status: 'failing', failing_since: '2026-11-21T09:00:00.000Z' },
      ],
    });
    expect(summaryOf([])).toMatchObject({ opened: 0, answer_seconds: null });
  });
});

describe('a page', () => {
  it.each(locales)('says everything in the language of the reader: %s', (locale) => {
    const page = reportPage(base, locale);
    expect(page).toContain(`<html lang="${locale}">`);
    const { noCompany: _, allCompanies: __, none: ___, unknown: ____, ...said } = words[locale];
    for (const word of Object.values(said)) expect(page).toContain(word);
    expect(page).toContain(locale === 'en' ? '1,200' : '1.200');
    expect(page).toContain('2 h 1 min 5 s');
  });

  it.each(hostile)('takes nothing for markup that is a value: %j', (value) => {
    const report: Report = {
      ...base,
      made_by: value,
      company_ids: [value],
      refusals: [{ event_type: value, severity: value as 'INFO', count: 1 }],
      alerts: { ...base.alerts, by_kind: [{ kind: value, severity: value as 'INFO', opened: 1, acknowledged: 0 }] },
      personal_data: {
        openings: 1,
        readers: [{ ...first(base.personal_data.readers), user_id: value, resource: value }],
        readers_omitted: 0,
      },
      storages: [{ name: value, status: 'ok', queried: false, waiting: 0, failing_since: null }],
    };
    for (const locale of locales) {
      const page = reportPage(report, locale);
      expect(page).toContain(escapeHtml(value));
      // a value leaves only tags and attributes that the page has by itself
      const tags = (text: string) => [...new Set(text.match(/<[^>]*>/g))].sort();
      expect(tags(page).filter((tag) => !tags(reportPage(base, locale)).includes(tag))).toEqual([]);
      for (const character of ['\0', '\u202e']) expect(page).not.toContain(character);
      expect(page.isWellFormed()).toBe(true);
    }
  });

  it('loads nothing and runs nothing', () => {
    expect(reportPage(base, 'en')).not.toMatch(/<(script|link|img|iframe|form|base|object|embed)|https?:|url\(|@import|\son\w+=/i);
  });

  it('of nothing says so', () => {
    const none = { logins: { successes: 0, failures: 0, by_day: [] }, refusals: [], alerts: summaryOf([]), company_ids: null };
    const page = reportPage({ ...base, ...none, personal_data: { openings: 0, readers: [], readers_omitted: 0 }, storages: [] }, 'pt-BR');
    expect(page.match(/<p>Nenhum\.<\/p>/g)).toHaveLength(5);
    expect(page).toContain('todas, e o que não pertence a nenhuma');
  });
});

function first<T>([item]: readonly T[]): T {
  return item as T;
}

it('pieces of HTML are put together; all else is text', () => {
  expect(html`<b>${'<i>'}</b>${[html`<i>${1}</i>`, html`<i>${'"'}</i>`]}`.text).toBe('<b>&lt;i&gt;</b><i>1</i><i>&quot;</i>');
});

describe('the language', () => {
  it.each([
    [undefined, 'pt-BR'],
    ['', 'pt-BR'],
    ['en', 'en'],
    ['en-GB,pt;q=0.9', 'en'],
    ['pt-PT;q=0.8, en;q=0.9', 'en'],
    ['fr, en;q=0', 'pt-BR'],
    ['de, *', 'pt-BR'],
    ['EN-us;Q=1', 'en'],
    ['en;q=x', 'pt-BR'],
    [';;;,,;q', 'pt-BR'],
  ])('of %j is %s', (header, locale) => {
    expect(localeOf(header)).toBe(locale);
  });
});

describe('a period', () => {
  it.each([
    ['2026-11-21T00:00:00Z', '2026-11-21T00:00:00Z'],
    ['2026-11-21T00:00:01Z', '2026-11-21T00:00:00Z'],
    ['2026-11-21T00:00:00Z', '2026-11-22T00:00:00.001Z'],
  ])('from %s to %s is none', (from, to) => {
    expect(() => periodOf({ from, to }, 86_400_000)).toThrow(
      expect.objectContaining({ faults: [expect.objectContaining({ path: '/to' })] }),
    );
  });
});
