import { createHmac, hkdfSync, type KeyObject } from 'node:crypto';

/**
 * What a keyed index is about: a CPF or CNPJ, an e-mail address, or the text of a request (kept to recognise a
 * repeated one without keeping what it said).
 */
export type BlindKind = 'document' | 'email' | 'request';

/** The form in which values that mean the same are the same. */
export function normalise(kind: BlindKind, value: string): string {
  if (kind === 'document') return value.toUpperCase().replace(/[^0-9A-Z]/g, '');
  if (kind === 'email') return value.normalize('NFC').trim().toLowerCase();
  return value;
}

/** Hex HMAC-SHA256 under a key of this kind alone, derived (RFC 5869) from the company's blind-index key. */
export function blindIndex(companyKey: KeyObject, kind: BlindKind, value: string): string {
  const key = Buffer.from(hkdfSync('sha256', companyKey, Buffer.alloc(0), `biz/blind/${kind}`, 32));
  return createHmac('sha256', key).update(normalise(kind, value), 'utf8').digest('hex');
}
