import { AppError } from '@biz/errors';
import type { Call, Handler } from '@biz/rpc';
import { foreignTo } from '../query/foreign.ts';
import { listOwnershipReads, type OwnershipReadsRequest } from '../query/ownership-reads.ts';
import { getOwnership, lookupOwnerships, presentOwnership } from '../query/ownerships.ts';
import { presentRecords } from '../query/present.ts';
import { listRecords, type PageRequest } from '../query/records.ts';
import { openingFor, scopeOf } from '../query/scope.ts';
import type { RpcParts } from './parts.ts';
import { presentPage } from './records.ts';

/** OwnershipService: whose data the records are. */
export function ownershipHandlers({ collections, keyring, history, pages }: RpcParts): Record<string, Handler> {
  return {
    LookupOwnership: async (request: { document?: string; email?: string }, { context }: Call) => ({
      items: (await lookupOwnerships(collections, keyring, context, request)).map(presentOwnership),
    }),
    GetOwnership: async (request: { ownership_id: string; company_id?: string }, { context }: Call) =>
      presentOwnership(await getOwnership(collections, context, request)),
    ListOwnershipRecords: async ({ ownership_id, ...page }: PageRequest & { ownership_id: string }, call: Call) => {
      const ordered = { ...page, defaultOrder: 'desc' as const, deadline: call.deadline };
      return pages(call.signal, async () => {
        const found = await listRecords(collections, scopeOf(call.context), { ownership_id }, ordered);
        if (found.records.length === 0 && !page.page_token) {
          const withheld = await foreignTo(collections, call.context, { ownership_id });
          throw new AppError('not_found', 'There is no such ownership.', { withheld });
        }
        return presentPage(keyring, found, call);
      });
    },
    ListOwnershipReads: async (request: OwnershipReadsRequest, call: Call) => {
      const { context, deadline, signal } = call;
      const bounds = { searched: history.limits.searched, deadline, signal };
      return pages(signal, async () => {
        const { records, next_page_token, searched } = await listOwnershipReads(collections, scopeOf(context), request, bounds);
        return { items: await presentRecords(keyring, records, openingFor(context)), next_page_token, searched };
      });
    },
  };
}
