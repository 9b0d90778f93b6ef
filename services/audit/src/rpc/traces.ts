import { AppError } from '@biz/errors';
import { type Call, type Handler, spansCompanies } from '@biz/rpc';
import { scopeOf } from '../query/scope.ts';
import { readTrace } from '../traces/trace.ts';
import type { RpcParts } from './parts.ts';

/** TraceService: how a request ran. It holds times, names and ids of what was done, never a record or a value of one. */
export function traceHandlers({ traces }: RpcParts): Record<string, Handler> {
  return {
    GetTrace: async ({ trace_id }: { trace_id: string }, { context, signal }: Call) => {
      if (traces === undefined) {
        throw new AppError(
          'unavailable',
          'Traces cannot be read here: the audit service has no ELASTICSEARCH_URL, the address that the collector writes to.',
        );
      }
      const companies = spansCompanies(context) ? undefined : context.companies;
      return readTrace(traces, trace_id.replaceAll('-', '').toLowerCase(), { scope: scopeOf(context), companies, signal });
    },
  };
}
