import { isIP } from 'node:net';
import type { SecurityEventDraft, SecurityEventType } from '@biz/security-events';
import { idAt, rfc3339, traceContext } from '@biz/service';
import type { KeycloakEvent, KnownUser } from './keycloak-events.ts';

/** What Keycloak's types are as security events. Those of other types are not asked for. */
const types: Readonly<Record<string, SecurityEventType>> = {
  LOGIN: 'LOGIN_SUCCESS',
  CLIENT_LOGIN: 'LOGIN_SUCCESS',
  LOGIN_ERROR: 'LOGIN_FAILED',
  CLIENT_LOGIN_ERROR: 'LOGIN_FAILED',
  // a code that was used already, or by somebody who did not begin the login
  CODE_TO_TOKEN_ERROR: 'LOGIN_FAILED',
  LOGOUT: 'LOGOUT',
  REFRESH_TOKEN: 'TOKEN_REFRESHED',
  REFRESH_TOKEN_ERROR: 'TOKEN_INVALID',
};

export const eventTypes: readonly string[] = Object.keys(types);

/** What goes on all the time and tells little one by one. Failures and logins of people are never folded. */
const folded: ReadonlySet<string> = new Set(['REFRESH_TOKEN', 'CLIENT_LOGIN']);

/** Groups of events that become one: the same type, user, client and address. In order of their first event. */
export function fold(events: readonly KeycloakEvent[]): KeycloakEvent[][] {
  const groups = new Map<string, KeycloakEvent[]>();
  for (const event of events) {
    const { type, userId, clientId, ipAddress } = event;
    const key = folded.has(type) ? JSON.stringify([type, userId, clientId, ipAddress]) : event.id;
    groups.set(key, [...(groups.get(key) ?? []), event]);
  }
  return [...groups.values()];
}

/** A security event as Keycloak's are told. */
export type Draft = SecurityEventDraft & Required<Pick<SecurityEventDraft, 'resource' | 'action' | 'details' | 'count'>>;

/**
 * The security event of a group of Keycloak's; its id follows from the first one's, so that told again it is the same. `nameIndex` is the keyed
 * index of the name that was tried, for a name that is nobody's: the name itself is kept nowhere. Tokens' ids, sessions and redirect addresses
 * are left out.
 */
export function draftOf(group: readonly KeycloakEvent[], user: KnownUser | undefined, nameIndex: string | undefined): Draft {
  const [first] = group as [KeycloakEvent, ...KeycloakEvent[]];
  const { id, type, clientId, userId, ipAddress, error, details = {} } = first;
  const times = group.map(({ time }) => time);
  const userIdOf = user?.id ?? userId;
  const company = tenant(user?.companies);
  const client = tenant(user?.clients);
  const grant = details.grant_type;
  return {
    event_id: idAt(new Date(first.time), `keycloak:${id}`),
    event_type: types[type] as SecurityEventType,
    ...(userIdOf && { user_id: userIdOf }),
    ...(user?.email && { user_email: user.email }),
    ...(company && { company_id: company }),
    ...(client && { client_id: client }),
    ...(ipAddress && isIP(ipAddress) && { ip: ipAddress }),
    resource: `keycloak:${clientId ?? 'unknown'}`.slice(0, 200),
    action: type,
    trace_id: traceOf(id),
    ...(error && { error_message: plain(error) }),
    details: JSON.stringify({ ...(grant && { grant_type: plain(grant) }), ...(nameIndex && { name_index: nameIndex }) }),
    count: group.length,
    first_at: rfc3339(new Date(Math.min(...times))),
    last_at: rfc3339(new Date(Math.max(...times))),
  };
}

/** The name that was tried when Keycloak knows nobody of that name. */
export function unknownName({ userId, details }: KeycloakEvent): string | undefined {
  return userId === undefined ? details?.username : undefined;
}

/** A tenant, not the wildcard of platform people, and not one of several. */
function tenant(ids: readonly string[] | undefined): string | undefined {
  return ids?.length === 1 && ids[0] !== '*' ? ids[0] : undefined;
}

/** Keycloak's event ids are UUIDs: as a trace id one finds its event there. */
function traceOf(id: string): string {
  const hex = id.replaceAll('-', '').toLowerCase();
  return /^[0-9a-f]{32}$/.test(hex) ? hex : traceContext().trace_id;
}

/** A code as it may be kept: one that holds a sentence, or a value, is none. */
function plain(code: string): string {
  return /^[\w.:-]{1,100}$/.test(code) ? code : 'other';
}
