import type { OwnEvent } from '@biz/eventstore';
import type { JsonObject, JsonValue } from '@biz/json';
import type { Call } from '@biz/rpc';
import { indexKey } from '../keys.ts';
import { looksPersonal } from '../personal.ts';
import { openingFor } from '../query/scope.ts';
import { isPersonal } from './methods.ts';
import { MOST_LISTED, type Tally } from './tally.ts';

/**
 * How a read ended. `answered`: all of it was given; `not_found`: there was nothing; `cancelled`: the caller went away; `failed`: it broke
 * off; `interrupted`: the process ended meanwhile. Of `cancelled` and `failed` the count is what was given at most, of `interrupted` what
 * was known some seconds before.
 */
export type Outcome = 'answered' | 'not_found' | 'cancelled' | 'failed' | 'interrupted';

/** The event of a read: who asked for what, and how much of whose data was shown. */
export function readEvent(id: string, request: object, call: Call, tally: Tally, outcome: Outcome): OwnEvent {
  const { actor, role, ip, trace_id, traceparent } = call.context;
  const company_id = companyOf(call, tally);
  return {
    event_id: id,
    type: 'audit.read',
    entity_type: 'audit_read',
    action_type: 'new',
    company_id,
    // An access log is data about who accessed: the company's, or of somebody of the platform the person's own.
    ownership_id: company_id ?? actor.id,
    data: { ...askedOf(request, call, tally.count > 0), ...shownOf(tally), outcome },
    context: { actor, role, ip, trace_id, traceparent },
  };
}

/** The part of the payload that is known before anything is shown. */
function askedOf(request: object, call: Call, found: boolean): JsonObject {
  const { method, context, peer } = call;
  const may = openingFor(context);
  return {
    rpc: method.path.slice(1),
    ...(method.http && { route: `${method.http.verb.toUpperCase()} ${method.http.path}` }),
    filters: filtersOf(request, call, found),
    opens: [...(may.payload ? ['payload'] : []), ...(may.owner_ip ? ['owner_ip'] : [])],
    request_id: context.request_id,
    peer,
  };
}

/** The part of the payload that tells what was shown. */
function shownOf({ count, first, last, ownerships, companies }: Tally): JsonObject {
  return {
    count,
    ...(first !== undefined && { first_record_id: first }),
    ...(last !== undefined && { last_record_id: last }),
    ownership_ids: [...ownerships].slice(0, MOST_LISTED),
    ownership_count: ownerships.size,
    ...(companies.size > 1 && { company_ids: [...companies].slice(0, MOST_LISTED) }),
  };
}

/** The company that the call is about; without one, the only company whose data was shown. */
function companyOf({ context }: Call, { companies }: Tally): string | null {
  if (context.company_id !== null) return context.company_id;
  const [only = null] = companies;
  return companies.size === 1 ? only : null;
}

const withheld = { withheld: true };

/**
 * What was asked for. A personal value is withheld. Other values are identifiers, which stand in the records as they are; one
 * that found nothing and looks like a document, a telephone number or an e-mail address is withheld, too.
 */
function filtersOf(request: object, { method }: Call, found: boolean): JsonObject {
  const filters: JsonObject = {};
  for (const { name } of method.request.fields) {
    const value = (request as Record<string, unknown>)[name];
    if (value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)) continue;
    if (name === 'page_token' || name === 'cursor') filters.continued = true;
    else filters[name] = isPersonal(method, name) ? withheld : shownValue(value, found);
  }
  return filters;
}

function shownValue(value: unknown, found: boolean): JsonValue {
  if (typeof value === 'boolean' || typeof value === 'number') return value;
  if (typeof value !== 'string') return withheld;
  return !found && looksPersonal(value) ? withheld : indexKey(value);
}
