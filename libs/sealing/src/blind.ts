import { createHmac, hkdfSync, type KeyObject } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';

/**
 * What a keyed index is about: a CPF or CNPJ, an e-mail address, an internet address, or the text of a request (kept to
 * recognise a repeated one without keeping what it said).
 */
export type BlindKind = 'document' | 'email' | 'ip' | 'request';

/** The form in which values that mean the same are the same. */
export function normalise(kind: BlindKind, value: string): string {
  if (kind === 'document') return value.toUpperCase().replace(/[^0-9A-Z]/g, '');
  if (kind === 'email') return value.normalize('NFC').trim().toLowerCase();
  if (kind === 'ip') return addressForm(value);
  return value;
}

/** The one spelling of an internet address (RFC 5952); an IPv4 address that came in an IPv6 one (RFC 4291, 2.5.5.2) is the IPv4 address. */
function addressForm(value: string): string {
  const text = value.trim().toLowerCase();
  const bare = text.split('%')[0] ?? text; // the zone tells of a network card of the machine that saw it
  if (isIPv4(bare) || !isIPv6(bare)) return bare;
  const short = new URL(`http://[${bare}]`).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short) ?? [];
  if (high === undefined || low === undefined) return short;
  return [high, low].flatMap((part) => [Number.parseInt(part, 16) >> 8, Number.parseInt(part, 16) & 255]).join('.');
}

/** Hex HMAC-SHA256 under a key of this kind alone, derived (RFC 5869) from the company's blind-index key. */
export function blindIndex(companyKey: KeyObject, kind: BlindKind, value: string): string {
  const key = Buffer.from(hkdfSync('sha256', companyKey, Buffer.alloc(0), `biz/blind/${kind}`, 32));
  return createHmac('sha256', key).update(normalise(kind, value), 'utf8').digest('hex');
}
