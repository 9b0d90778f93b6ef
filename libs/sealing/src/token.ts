import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';
import { canonicalJson } from '@biz/json';

// AES-256-GCM with a random 96-bit IV for each sealing (NIST SP 800-38D, 8.2.2): a data key serves one data subject,
// far below the 2^32 sealings up to which random IVs are safe.
const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;
const PREFIX = 's1';

/** What a sealed value is bound to: moved to another company, person, event or field it does not open. */
export interface Binding {
  company_id: string | null;
  ownership_id: string;
  event_id: string;
  /** JSON Pointer of the value inside the entity. */
  field: string;
}

/** Token of a sealed text: `s1.<ownership id, base64url>.<event id>.<iv | ciphertext | tag, base64url>`. */
export function sealText(key: KeyObject, binding: Binding, text: string): string {
  const body = encrypt(key, text, associatedData(binding));
  return formatToken(binding.ownership_id, binding.event_id, body);
}

/** The text of a token, or undefined when it was not sealed with this key for this company and field. */
export function openText(key: KeyObject, binding: Binding, body: Buffer): string | undefined {
  return decrypt(key, body, associatedData(binding))?.toString('utf8');
}

export interface ParsedToken {
  ownership_id: string;
  event_id: string;
  body: Buffer;
}

/** Reads a token's parts; undefined for anything that `sealText` would not have written byte for byte. */
export function parseToken(token: string): ParsedToken | undefined {
  const [prefix, ownership, event, sealed, ...rest] = token.split('.');
  if (prefix !== PREFIX || !ownership || !event || !sealed || rest.length > 0) return undefined;
  const parsed = {
    ownership_id: Buffer.from(ownership, 'base64url').toString('utf8'),
    event_id: decodePart(event),
    body: Buffer.from(sealed, 'base64url'),
  };
  // One value has one token: other spellings of the same bytes (base64 padding bits, escapes) are refused.
  return formatToken(parsed.ownership_id, parsed.event_id, parsed.body) === token ? parsed : undefined;
}

/** Wraps a data key under the key-encryption key, bound to the document that holds it. */
export function wrapKey(kek: KeyObject, key: Buffer, documentId: string): string {
  return encrypt(kek, key, documentId).toString('base64url');
}

/** The data key, or undefined when it was not wrapped by this key for this document. */
export function unwrapKey(kek: KeyObject, wrapped: string, documentId: string): Buffer | undefined {
  return decrypt(kek, Buffer.from(wrapped, 'base64url'), documentId);
}

function formatToken(ownershipId: string, eventId: string, body: Buffer): string {
  return [PREFIX, Buffer.from(ownershipId, 'utf8').toString('base64url'), encodePart(eventId), body.toString('base64url')].join('.');
}

function associatedData(binding: Binding): string {
  return canonicalJson([binding.company_id, binding.ownership_id, binding.event_id, binding.field]);
}

/** Event ids of other producers may hold a dot, which parts a token; ours stay as they are. */
function encodePart(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replaceAll('.', '%2E');
}

function decodePart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

/** Random bytes for many IVs at once: asking for twelve at a time costs as much as sealing a short text. */
const pool = { bytes: Buffer.alloc(0), at: 0 };

function nextIv(): Buffer {
  if (pool.at + IV_BYTES > pool.bytes.length) {
    pool.bytes = randomBytes(IV_BYTES * 512);
    pool.at = 0;
  }
  const iv = pool.bytes.subarray(pool.at, pool.at + IV_BYTES);
  pool.at += IV_BYTES;
  return iv;
}

function encrypt(key: KeyObject, plain: string | Buffer, associated: string): Buffer {
  const iv = nextIv();
  const cipher = createCipheriv(CIPHER, key, iv);
  cipher.setAAD(Buffer.from(associated, 'utf8'));
  const first = typeof plain === 'string' ? cipher.update(plain, 'utf8') : cipher.update(plain);
  return Buffer.concat([iv, first, cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: KeyObject, body: Buffer, associated: string): Buffer | undefined {
  if (body.length < IV_BYTES + TAG_BYTES) return undefined;
  const tagAt = body.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, key, body.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(associated, 'utf8'));
  decipher.setAuthTag(body.subarray(tagAt));
  const plain = decipher.update(body.subarray(IV_BYTES, tagAt));
  try {
    return Buffer.concat([plain, decipher.final()]);
  } catch {
    return undefined;
  }
}
