import { companiesOf } from '@biz/resource';
import type { CallContext } from '@biz/rpc';
import type { Keyring } from '@biz/sealing';
import { eventName, securityEventTypes } from '@biz/security-events';
import { addressIndexes } from './seal.ts';
import { keyText } from './storage/event.ts';
import type { EventQuery, Severity } from './storage/port.ts';

/** Filters as requests have them; an empty one is none. */
export interface EventFilters {
  event_type?: string;
  severity?: Severity | '';
  user_id?: string;
  company_id?: string;
  ip_address?: string;
  from?: string;
  to?: string;
}

/** What the filters ask for, within the companies of the caller. */
export async function queryOf(keyring: Pick<Keyring, 'blindIndexes'>, filters: EventFilters, context: CallContext): Promise<EventQuery> {
  const { event_type, severity, user_id, company_id, ip_address, from, to } = filters;
  const companies = narrowed(companiesOf(context), company_id);
  const [ip_index] = ip_address ? await addressIndexes(keyring, [ip_address]) : [];
  return {
    ...(companies && { company_ids: companies.map(keyText) }),
    ...(event_type && { event_type: typeOf(event_type) }),
    ...(severity && { severity }),
    ...(user_id && { user_id: keyText(user_id) }),
    ...(ip_index && { ip_index }),
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
