import { createHash } from 'node:crypto';
import { AppError } from '@biz/errors';
import { canonicalJson, type JsonValue } from '@biz/json';
import { companiesOf } from '@biz/resource';
import type { Call, CallContext, Handler } from '@biz/rpc';
import { eventName, securityEventTypes } from '@biz/security-events';
import { presentEvents } from '../present.ts';
import { addressIndexes } from '../seal.ts';
import { keyText } from '../storage/event.ts';
import type { EventQuery, Severity } from '../storage/port.ts';
import type { RpcParts } from './parts.ts';

const DEFAULT_PAGE_SIZE = 50;

interface ListRequest {
  page_size?: number;
  page_token?: string;
  event_type?: string;
  severity?: Severity;
  user_id?: string;
  company_id?: string;
  ip_address?: string;
  from?: string;
  to?: string;
}

/** SecurityEventService: what happened, within the companies of the caller. */
export function eventHandlers({ keyring, storages }: RpcParts): Record<string, Handler> {
  return {
    async ListSecurityEvents(request: ListRequest, { context, deadline }: Call) {
      const { page_size, page_token, ip_address, ...filters } = request;
      const [ip_index] = ip_address ? await addressIndexes(keyring, [ip_address]) : [];
      const query = { ...queryOf(filters, context), ...(ip_index && { ip_index }) };
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

function queryOf(filters: Omit<ListRequest, 'page_size' | 'page_token' | 'ip_address'>, context: CallContext): EventQuery {
  const { event_type, severity, user_id, company_id, from, to } = filters;
  const companies = narrowed(companiesOf(context), company_id);
  return {
    ...(companies && { company_ids: companies.map(keyText) }),
    ...(event_type && { event_type: typeOf(event_type) }),
    ...(severity && { severity }),
    ...(user_id && { user_id: keyText(user_id) }),
    ...(from && { from: new Date(from) }),
    ...(to && { to: new Date(to) }),
  };
}

/** Undefined is every company and what belongs to none. A company outside leaves nothing, as if it did not exist. */
function narrowed(scope: readonly (string | null)[] | 'all', companyId: string | undefined): string[] | undefined {
  if (!companyId) return scope === 'all' ? undefined : scope.filter((company) => company !== null);
  return scope === 'all' || scope.includes(companyId) ? [companyId] : [];
}

/** `LOGIN_FAILED` of any way to write it; a type that does not exist finds nothing. */
function typeOf(text: string): string {
  return securityEventTypes.find((type) => type === text.toUpperCase() || eventName(type) === text) ?? text;
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
