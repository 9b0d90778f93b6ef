import type { KeycloakAdmin } from '../keycloak.ts';

/** An event of Keycloak's own store (EventRepresentation of its admin API), the part that is used. */
export interface KeycloakEvent {
  id: string;
  /** Milliseconds since 1970. */
  time: number;
  type: string;
  clientId?: string;
  /** Keycloak's id of the user; absent when the name that was tried is nobody's. */
  userId?: string;
  ipAddress?: string;
  error?: string;
  details?: Record<string, string>;
}

/** A user as the events need it; ids are ours where the user has one. */
export interface KnownUser {
  id: string;
  email: string | undefined;
  companies: readonly string[];
  clients: readonly string[];
}

const defaultPageSize = 1_000;
/** Ids in one query string. */
const idsAtOnce = 50;

/**
 * Events of these types that happened at `from` or later, the oldest first, each once. A page is asked for from the time where the one before
 * ended, not by its number, so that events that come or expire meanwhile shift nothing.
 */
export async function* eventsSince(
  admin: KeycloakAdmin,
  types: readonly string[],
  from: number,
  pageSize = defaultPageSize,
): AsyncGenerator<KeycloakEvent> {
  const given = new Set<string>();
  const kinds = types.map((type) => `type=${type}`).join('&');
  for (let at = from, skip = 0; ; ) {
    const path = `/events?${kinds}&direction=asc&dateFrom=${at}&first=${skip}&max=${pageSize}`;
    const { body } = await admin.send({ method: 'GET', path });
    const page = Array.isArray(body) ? (body as KeycloakEvent[]) : [];
    for (const event of page) {
      if (given.has(event.id)) continue;
      given.add(event.id);
      yield event;
    }
    if (page.length < pageSize) return;
    const last = page.at(-1)?.time ?? at;
    skip = last > at ? 0 : skip + page.length; // more of one millisecond than a page holds
    at = last;
  }
}

/** The users with these ids of Keycloak; those that are there no more are left out. */
export async function usersOf(admin: KeycloakAdmin, ids: readonly string[]): Promise<Map<string, KnownUser>> {
  const users = new Map<string, KnownUser>();
  const distinct = [...new Set(ids)];
  for (let at = 0; at < distinct.length; at += idsAtOnce) {
    const some = distinct.slice(at, at + idsAtOnce);
    const search = encodeURIComponent(`id:${some.join(' ')}`);
    const { body } = await admin.send({ method: 'GET', path: `/users?briefRepresentation=false&max=${some.length}&search=${search}` });
    for (const user of Array.isArray(body) ? (body as UserRepresentation[]) : []) users.set(user.id, knownUser(user));
  }
  return users;
}

interface UserRepresentation {
  id: string;
  email?: string;
  attributes?: Record<string, string[]>;
}

function knownUser({ id, email, attributes = {} }: UserRepresentation): KnownUser {
  return { id: attributes.user_id?.[0] ?? id, email, companies: attributes.companies ?? [], clients: attributes.clients ?? [] };
}
