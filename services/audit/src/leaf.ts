import { leafHash } from '@biz/merkle';
import { BSON, type Document } from 'mongodb';

/** Derived from the records themselves, and taken when a successor comes: the one field that changes. */
const DERIVED = 'is_active';

/**
 * What a leaf of the log's Merkle tree is the hash of: the canonical JSON (RFC 8785) of the whole document as it is stored, every field that
 * it has and not only those we know, but `is_active`. Sealed texts go in as ciphertext, so that the leaf still holds after their key was destroyed.
 * Types that JSON does not have are told apart: a date is not the text that it looks like.
 */
export function leafText(document: Document): string {
  const { names, labels } = shapeOf(document);
  let text = '';
  for (let at = 0; at < names.length; at += 1) text += (labels[at] as string) + textOf(document[names[at] as string]);
  return `${text === '' ? '{' : text}}`;
}

/** Hash of a stored document as a leaf (RFC 6962, 2.1): 32 bytes. */
export function leafOf(document: Document): Buffer {
  return leafHash(leafText(document));
}

/** Field names in canonical order, and the text before each value. */
interface Shape {
  names: readonly string[];
  labels: readonly string[];
}

/**
 * Shapes by their names, since records have few and ordering the names is half of the work. No name in a BSON document has a zero byte in
 * it, so no two shapes have one key.
 */
const shapes = new Map<string, Shape>();
/** Somebody may put any fields into the store. */
const MOST_SHAPES = 1_000;

function shapeOf(document: Document): Shape {
  const present = Object.keys(document);
  const key = present.join('\0');
  let shape = shapes.get(key);
  if (shape === undefined) {
    // Without a comparator, sort() compares UTF-16 code units, as RFC 8785 asks (3.2.3).
    const names = present.filter((name) => name !== DERIVED).sort();
    shape = { names, labels: names.map((name, at) => `${at === 0 ? '{' : ','}${JSON.stringify(name)}:`) };
    if (shapes.size < MOST_SHAPES) shapes.set(key, shape);
  }
  return shape;
}

function textOf(value: unknown): string {
  switch (typeof value) {
    case 'string':
      // As it is stored: BSON has UTF-8, where a lone surrogate becomes U+FFFD.
      return JSON.stringify(value.toWellFormed());
    case 'boolean':
      return value ? 'true' : 'false';
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? String(value) : `{"$number":"${Object.is(value, -0) ? '-0' : value}"}`;
    case 'undefined':
      return '{"$undefined":true}';
  }
  if (value === null) return 'null';
  if (value instanceof Date) return `{"$date":"${value.toISOString()}"}`;
  if (Array.isArray(value)) return `[${value.map(textOf).join(',')}]`;
  if (Object.getPrototypeOf(value) === Object.prototype) return objectText(value as Document);
  // Types that no record of ours has; somebody else may have put them there.
  return `{"$bson":${JSON.stringify(BSON.EJSON.stringify(value))}}`;
}

function objectText(object: Document): string {
  const members = Object.entries(object).map(([name, value]): [string, unknown] => [name.toWellFormed(), value]);
  members.sort(([left], [right]) => (left < right ? -1 : 1));
  const text = `{${members.map(([name, value]) => `${JSON.stringify(name)}:${textOf(value)}`).join(',')}}`;
  // So that no object passes for one of the forms above.
  return members.some(([name]) => name.startsWith('$')) ? `{"$object":${text}}` : text;
}
