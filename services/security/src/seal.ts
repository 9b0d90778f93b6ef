import { isIP } from 'node:net';
import { type Keyring, parseToken, type SealItem, sealUnlessErased } from '@biz/sealing';
import type { Personal, SecurityEvent } from '@biz/security-events';
import { keyText } from './storage/event.ts';
import type { StoredEvent } from './storage/port.ts';

/** Fields under which personal values are sealed (part of what a token is bound to). */
export const sealedFields = { user_email: '/user_email', ip: '/ip', user_agent: '/user_agent' } as const;

const LONGEST_TEXT = 1_000;
const LONGEST_TOKEN = 8_000;
/** Bytes of `details` beyond which only their number is kept; the audit has them whole. */
const MOST_DETAILS = 16_000;
/** What the contract's int32 holds. */
const MOST_COUNTED = 2 ** 31 - 1;

type Sealing = Pick<Keyring, 'seal' | 'blindIndexes'>;

/** Whose key seals addresses: one for each UTC month in which events happened, of no company, so that a month can be dropped everywhere at once. */
export function addressOwner(occurredAt: Date): string {
  return `security-ip:${occurredAt.toISOString().slice(0, 7)}`;
}

/** The blind indexes by which events of these addresses are found, in any company. */
export async function addressIndexes(keyring: Pick<Keyring, 'blindIndexes'>, addresses: readonly string[]): Promise<string[]> {
  return addresses.length === 0 ? [] : keyring.blindIndexes(addresses.map((value) => ({ company_id: null, kind: 'ip', value })));
}

/** Events as they are kept, each id once: what is personal sealed, and dropped where the key was destroyed. Errors: the keyring's database is away. */
export async function storedEvents(keyring: Sealing, events: readonly SecurityEvent[], receivedAt: Date): Promise<StoredEvent[]> {
  const distinct = [...new Map(events.map((event) => [event.event_id, event])).values()];
  const items: SealItem[] = [];
  const seal = (item: SealItem) => items.push(item) - 1;
  const plans = distinct.map((event) => {
    const { company_id, event_id, ownership_id } = event;
    const own = (field: string, value: Personal) => {
      const token = sealedAlready(value);
      return token === undefined ? sealWith(seal, { company_id, event_id, ownership_id, field }, value) : token;
    };
    return {
      event,
      user_email: own(sealedFields.user_email, event.user_email),
      user_agent: own(sealedFields.user_agent, event.user_agent),
      ip: isUnknown(event.ip)
        ? null
        : seal({
            company_id: null,
            event_id,
            ownership_id: addressOwner(event.at),
            field: sealedFields.ip,
            text: JSON.stringify(event.ip),
          }),
    };
  });
  const addresses = distinct.filter(({ ip }) => isIP(ip.trim()) !== 0 && !isUnknown(ip));
  const [tokens, indexes] = await Promise.all([
    sealUnlessErased(keyring, items),
    addressIndexes(
      keyring,
      addresses.map(({ ip }) => ip),
    ),
  ]);
  const indexOf = new Map(addresses.map((event, at) => [event, indexes[at] ?? null]));
  const token = (place: string | number | null) => (typeof place === 'number' ? (tokens[place] ?? null) : place);
  return plans.map(({ event, ...places }) => ({
    ...plainOf(event, receivedAt),
    user_email: token(places.user_email),
    user_agent: token(places.user_agent),
    ip: token(places.ip),
    // an address whose key is gone is not to be found again either
    ip_index: token(places.ip) === null ? null : (indexOf.get(event) ?? null),
  }));
}

/** Stands where the producer knows no address: the unspecified one (RFC 1122, 3.2.1.3; RFC 4291, 2.5.2). */
function isUnknown(address: string): boolean {
  return ['', '0.0.0.0', '::'].includes(address.trim());
}

function plainOf(event: SecurityEvent, receivedAt: Date): Omit<StoredEvent, 'user_email' | 'user_agent' | 'ip' | 'ip_index'> {
  const details = JSON.stringify(event.details).toWellFormed();
  const bytes = Buffer.byteLength(details);
  return {
    event_id: keyText(event.event_id),
    occurred_at: event.at,
    received_at: receivedAt,
    event_type: event.event_type,
    severity: event.severity,
    user_id: key(event.user_id),
    company_id: key(event.company_id),
    client_id: key(event.client_id),
    resource: text(event.resource),
    action: text(event.action),
    request_id: text(event.request_id),
    trace_id: event.trace_id,
    success: event.success,
    error_message: text(event.error_message),
    details: bytes > MOST_DETAILS ? JSON.stringify({ omitted_bytes: bytes }) : details,
    count: Math.min(event.count, MOST_COUNTED),
    first_at: dateOf(event.first_at, event.at),
    last_at: dateOf(event.last_at, event.at),
    anonymized: false,
  };
}

function key(id: string | null): string | null {
  return id === null ? null : keyText(id);
}

function text(value: string | null): string | null {
  return value === null ? null : value.slice(0, LONGEST_TEXT).toWellFormed();
}

function dateOf(given: string, otherwise: Date): Date {
  const date = new Date(given);
  return Number.isNaN(date.getTime()) ? otherwise : date;
}

/** The token that the producer sealed it as; undefined when it is yet to be sealed. */
function sealedAlready(value: Personal): string | null | undefined {
  if (value === null) return null;
  if (typeof value === 'string') return undefined;
  return value.sealed.length <= LONGEST_TOKEN && parseToken(value.sealed) ? value.sealed : null;
}

/** Place of the token to come: a foreign producer sent the value in clear. */
function sealWith(seal: (item: SealItem) => number, binding: Omit<SealItem, 'text'>, value: Personal): number {
  return seal({ ...binding, text: JSON.stringify(String(value).slice(0, LONGEST_TEXT)) });
}
