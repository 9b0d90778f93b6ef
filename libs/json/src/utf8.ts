import { createHash } from 'node:crypto';
import { JsonError } from './types.ts';

// ignoreBOM keeps a byte order mark in the text, where the parser then refuses it (RFC 8259, section 8.1).
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Text of UTF-8 bytes. Throws JsonError `invalid_utf8` on bytes that are not UTF-8; nothing is replaced or dropped. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new JsonError('invalid_utf8', 'the bytes are not UTF-8');
  }
}

/** SHA-256 as 64 lower-case hex digits; a string is hashed as UTF-8. */
export function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
