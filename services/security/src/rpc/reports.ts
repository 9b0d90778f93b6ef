import type { Call, Handler } from '@biz/rpc';
import { dayMs, periodOf } from '../counters/period.ts';
import { type EventFilters, queryOf } from '../query.ts';
import { makeReport } from '../report/data.ts';
import { reportPage } from '../report/page.ts';
import { type Locale, localeOf } from '../report/words.ts';
import type { RpcParts } from './parts.ts';

const longestByHourMs = 31 * dayMs;
const longestReportMs = 366 * dayMs;

type Period = { from: string; to: string; company_id?: string };
type ReportRequest = Period & { format?: 'json' | 'html' | ''; locale?: Locale | ''; accept_language?: string };

/** ReportService: numbers, within the companies of the caller. */
export function reportHandlers({ keyring, storages, counts, alertSummary }: RpcParts): Record<string, Handler> {
  return {
    async GetSecurityCounters(request: Period & Pick<EventFilters, 'event_type'>, { context, deadline }: Call) {
      const { from, to } = periodOf(request, longestByHourMs);
      const unit = to.getTime() - from.getTime() > dayMs ? 'hour' : 'minute';
      const found = await counts.byTime(await queryOf(keyring, request, context), unit, deadline);
      return { unit, items: found.map(({ at, ...count }) => ({ at: at.toISOString(), ...count })) };
    },
    async GetSecurityReport(request: ReportRequest, { context, deadline }: Call) {
      const { company_id = '', from, to } = request;
      const period = periodOf(request, longestReportMs);
      const query = { ...(await queryOf(keyring, { company_id, from, to }, context)), ...period };
      const parts = { counts, alerts: alertSummary, storages: () => storages.states() };
      const report = await makeReport(parts, query, { by: context.actor.id, at: new Date(), deadline });
      if (request.format !== 'html') return body('application/json; charset=utf-8', JSON.stringify(report));
      return body('text/html; charset=utf-8', reportPage(report, request.locale || localeOf(request.accept_language)));
    },
  };
}

function body(content_type: string, text: string): { content_type: string; data: Buffer } {
  return { content_type, data: Buffer.from(text) };
}
