import { canonicalJson, type JsonObject, type JsonValue, setOwn } from '@biz/json';
import { leafHash } from '@biz/merkle';
import { BSON, type Document } from 'mongodb';

/** Derived from the records themselves, and taken when a successor comes: the one field that changes. */
const DERIVED = 'is_active';

/**
 * What a leaf of the log's Merkle tree is the hash of: the canonical JSON (RFC 8785) of the whole document as it is stored, every field that
 * it has and not only those we know, but `is_active`. Sealed texts go in as ciphertext, so that the leaf still holds after their key was destroyed.
 */
export function leafText(document: Document): string {
  const fields: JsonObject = {};
  for (const name of Object.keys(document)) {
    if (name !== DERIVED) {
      setOwn(fields, name, plain(document[name]));
    }
  }
  return canonicalJson(fields);
}

/** Hash of a stored document as a leaf (RFC 6962, 2.1): 32 bytes. */
export function leafOf(document: Document): Buffer {
  return leafHash(leafText(document));
}

/** JSON that tells types apart which JSON does not have: a date is not the text that it looks like. */
function plain(value: unknown): JsonValue {
  switch (typeof value) {
    case 'string':
      // As it is stored: BSON has UTF-8, where a lone surrogate becomes U+FFFD.
      return value.toWellFormed();
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? value : { $number: Object.is(value, -0) ? '-0' : String(value) };
    case 'undefined':
      return { $undefined: true };
  }
  if (value === null) return null;
  if (value instanceof Date) return { $date: value.toISOString() };
  if (Array.isArray(value)) return value.map(plain);
  if (Object.getPrototypeOf(value) === Object.prototype) {
    const copy: JsonObject = {};
    for (const [key, inner] of Object.entries(value as object)) setOwn(copy, key.toWellFormed(), plain(inner));
    // So that no object passes for one of the forms above.
    return Object.keys(copy).some((key) => key.startsWith('$')) ? { $object: copy } : copy;
  }
  // Types that no record of ours has; somebody else may have put them there.
  return { $bson: BSON.EJSON.stringify(value) };
}
