import { createHash } from 'node:crypto';
import { AppError } from '@biz/errors';
import { canonicalJson, type JsonValue } from '@biz/json';
import { companiesOf } from '@biz/resource';
import type { Call, CallContext, Handler, StreamHandler } from '@biz/rpc';
import { eventLines } from '../export.ts';
import { noteOpening } from '../opening.ts';
import { presentEvents } from '../present.ts';
import { type EventFilters, queryOf } from '../query.ts';
import type { EventQuery, StoredEvent } from '../storage/port.ts';
import type { RpcParts } from './parts.ts';

const DEFAULT_PAGE_SIZE = 50;

type ListRequest = EventFilters & { page_size?: number; page_token?: string };

/** SecurityEventService: what happened, within the companies of the caller. */
export function eventHandlers({ keyring, storages, outbox, streaming }: RpcParts): Record<string, Handler | StreamHandler> {
  return {
    async *ExportSecurityEvents(request: EventFilters, { context, signal }: Call) {
      const query = await queryOf(keyring, request, context);
      const open = mayOpen(context);
      if (open) await noteOpening({ keyring, outbox }, '/v1/security/events/export', context);
      const present = (events: readonly StoredEvent[]) => presentEvents(keyring, events, open);
      yield* eventLines({ find: storages.find, query, signal, present, model: streaming.model });
    },
    async ListSecurityEvents(request: ListRequest, { context, deadline }: Call) {
      const { page_size, page_token, ...filters } = request;
      const query = await queryOf(keyring, filters, context);
      const binding = bindingOf(query);
      const after = page_token ? { after: cursorOf(page_token, binding) } : {};
      const { items, next } = await storages.find(query, { size: page_size || DEFAULT_PAGE_SIZE, deadline, ...after });
      return {
        items: await presentEvents(keyring, items, mayOpen(context)),
        next_page_token: next ? `${binding}.${next}` : '',
      };
    },
    async ListSecurityStorages(_: object, { context }: Call) {
      // they hold the events of all companies
      if (companiesOf(context) !== 'all') return { items: [] };
      const states = await storages.states();
      return {
        items: states.map(({ name, queried, waiting, failing_since, last_error }) => ({
          ...{ name, queried, waiting, status: failing_since ? 'failing' : 'ok' },
          ...(failing_since && { failing_since: failing_since.toISOString() }),
          ...(last_error && { last_error }),
        })),
      };
    },
  };
}

/** Who sees e-mail addresses, internet addresses and programs opened, as the proto says. */
export function mayOpen({ roles }: CallContext): boolean {
  return roles.includes('auditor') || roles.includes('dpo');
}

/** A token is bound to filters and companies. */
function bindingOf(query: EventQuery): string {
  const plain = JSON.parse(JSON.stringify(query)) as JsonValue;
  return createHash('sha256').update(canonicalJson(plain)).digest('hex').slice(0, 16);
}

function cursorOf(token: string, binding: string): string {
  if (token.startsWith(`${binding}.`)) return token.slice(binding.length + 1);
  throw new AppError('invalid_request', 'The request does not fit the contract.', {
    faults: [{ path: '/page_token', message: 'is not a token of this list with these filters' }],
  });
}
