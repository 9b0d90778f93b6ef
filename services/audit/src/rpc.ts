import { AppError } from '@biz/errors';
import type { Call, Handler } from '@biz/rpc';
import type { Keyring } from '@biz/sealing';
import type { Collections } from './collections.ts';
import { listDeadLetters, presentDeadLetters } from './query/dead-letters.ts';
import { getOwnership, lookupOwnerships, presentOwnership } from './query/ownerships.ts';
import { presentRecords } from './query/present.ts';
import { getRecord, listRecords, type PageRequest, type RecordFilters, type RecordPage } from './query/records.ts';
import { narrow, openingFor, scopeOf } from './query/scope.ts';

/** The services of the contract that this process offers. */
export const services = ['biz.audit.v1.AuditService', 'biz.audit.v1.OwnershipService'];

/** Request → query → response. Everything is read within the companies of the caller. */
export function createHandlers(collections: Collections, keyring: Keyring): Record<string, Handler> {
  const present = async ({ records, next_page_token }: RecordPage, { context }: Call): Promise<object> => ({
    items: await presentRecords(keyring, records, openingFor(context)),
    next_page_token,
  });
  return {
    ListRecords: async ({ page_size, page_token, order, company_id, ...filters }: ListRecordsRequest, call: Call) => {
      const scope = narrow(scopeOf(call.context), company_id);
      const page = { ...given({ page_size, page_token, order }), defaultOrder: 'desc' as const, deadline: call.deadline };
      return present(await listRecords(collections, scope, filters, page), call);
    },
    GetRecord: async ({ record_id }: { record_id: string }, { context }: Call) => {
      const record = await getRecord(collections, scopeOf(context), record_id);
      if (record === undefined) {
        throw new AppError('not_found', 'There is no such record.');
      }
      const [message = {}] = await presentRecords(keyring, [record], openingFor(context));
      return message;
    },
    GetEntityHistory: async ({ entity_type, entity_id, ...page }: PageRequest & { entity_type: string; entity_id: string }, call: Call) => {
      const ordered = { ...page, defaultOrder: 'asc' as const, deadline: call.deadline };
      const found = await listRecords(collections, scopeOf(call.context), { entity_type, entity_id }, ordered);
      if (found.records.length === 0 && !page.page_token) {
        throw new AppError('not_found', 'There is no such entity in the audit.');
      }
      return present(found, call);
    },
    ListDeadLetters: async (request: { page_size?: number; page_token?: string; code?: string }, { context, deadline }: Call) => {
      if (scopeOf(context) !== 'all') {
        return { items: [], next_page_token: '' };
      }
      const { letters, next_page_token } = await listDeadLetters(collections, request, deadline);
      return { items: await presentDeadLetters(keyring, letters, openingFor(context).payload), next_page_token };
    },
    LookupOwnership: async (request: { document?: string; email?: string }, { context }: Call) => ({
      items: (await lookupOwnerships(collections, keyring, context, request)).map(presentOwnership),
    }),
    GetOwnership: async (request: { ownership_id: string; company_id?: string }, { context }: Call) =>
      presentOwnership(await getOwnership(collections, context, request)),
    ListOwnershipRecords: async ({ ownership_id, ...page }: PageRequest & { ownership_id: string }, call: Call) => {
      const ordered = { ...page, defaultOrder: 'desc' as const, deadline: call.deadline };
      const found = await listRecords(collections, scopeOf(call.context), { ownership_id }, ordered);
      if (found.records.length === 0 && !page.page_token) {
        throw new AppError('not_found', 'There is no such ownership.');
      }
      return present(found, call);
    },
  };
}

type ListRecordsRequest = RecordFilters & PageRequest & { company_id?: string };

function given({ page_size, page_token, order }: { [Name in keyof PageRequest]: PageRequest[Name] | undefined }): PageRequest {
  return { ...(page_size && { page_size }), ...(page_token && { page_token }), ...(order && { order }) };
}
