import { isRawNumber, type JsonValue } from './types.ts';

/**
 * Canonical JSON of RFC 8785 (JCS): no whitespace, keys sorted by UTF-16 code units, numbers as ECMAScript writes
 * them. Two additions for data that must come back as it came: raw numbers keep their digits, and a lone surrogate
 * (which the RFC refuses) is written as its escape.
 */
export function canonicalJson(value: JsonValue): string {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new TypeError('JSON has no number that is not finite');
  }
  if (typeof value !== 'object' || value === null) {
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) {
    return `[${value.map(canonicalJson).join(',')}]`;
  }
  if (isRawNumber(value)) {
    return value.rawJSON;
  }
  let text = '{';
  // Without a comparator, sort() compares UTF-16 code units, as section 3.2.3 asks.
  for (const key of Object.keys(value).sort()) {
    text += `${text === '{' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(value[key] as JsonValue)}`;
  }
  return `${text}}`;
}
