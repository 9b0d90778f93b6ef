import { AppError } from '@biz/errors';
import type { Call, Handler } from '@biz/rpc';
import type { Keyring } from '@biz/sealing';
import { foreignTo } from '../query/foreign.ts';
import { presentRecords } from '../query/present.ts';
import { getRecord, listRecords, type PageRequest, type RecordFilters, type RecordPage } from '../query/records.ts';
import { boundTo, narrow, openingFor, scopeOf } from '../query/scope.ts';
import type { RpcParts } from './parts.ts';

/** AuditService: records, and the history of an entity. Everything is read within the companies and clients of the caller. */
export function recordHandlers({ collections, keyring, pages }: RpcParts): Record<string, Handler> {
  return {
    ListRecords: async ({ page_size, page_token, order, company_id, ...filters }: ListRecordsRequest, call: Call) => {
      const scope = narrow(scopeOf(call.context), company_id);
      const page = { ...given({ page_size, page_token, order }), defaultOrder: 'desc' as const, deadline: call.deadline };
      return pages(call.signal, async () => {
        const found = await listRecords(collections, scope, { ...filters, ...boundTo(call.context) }, page);
        return presentPage(keyring, found, call);
      });
    },
    GetRecord: async ({ record_id }: { record_id: string }, { context }: Call) => {
      const record = await getRecord(collections, scopeOf(context), record_id, boundTo(context));
      if (record === undefined) {
        throw new AppError('not_found', 'There is no such record.', { withheld: await foreignTo(collections, context, { record_id }) });
      }
      const [message = {}] = await presentRecords(keyring, [record], openingFor(context));
      return message;
    },
    GetEntityHistory: async ({ entity_type, entity_id, ...page }: PageRequest & { entity_type: string; entity_id: string }, call: Call) => {
      const ordered = { ...page, defaultOrder: 'asc' as const, deadline: call.deadline };
      const filters = { entity_type, entity_id, ...boundTo(call.context) };
      return pages(call.signal, async () => {
        const found = await listRecords(collections, scopeOf(call.context), filters, ordered);
        if (found.records.length === 0 && !page.page_token) {
          const withheld = await foreignTo(collections, call.context, { entity_type, entity_id });
          throw new AppError('not_found', 'There is no such entity in the audit.', { withheld });
        }
        return presentPage(keyring, found, call);
      });
    },
  };
}

/** A page of records as the contract's message, with what the caller may open opened. */
export async function presentPage(keyring: Keyring, { records, next_page_token }: RecordPage, { context }: Call): Promise<object> {
  return { items: await presentRecords(keyring, records, openingFor(context)), next_page_token };
}

type ListRecordsRequest = RecordFilters & PageRequest & { company_id?: string };

function given({ page_size, page_token, order }: { [Name in keyof PageRequest]: PageRequest[Name] | undefined }): PageRequest {
  return { ...(page_size && { page_size }), ...(page_token && { page_token }), ...(order && { order }) };
}
