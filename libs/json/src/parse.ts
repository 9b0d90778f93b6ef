import { isEscaped, parseStrict, type StrictOptions } from './strict.ts';
import type { JsonValue } from './types.ts';

export interface ParseOptions {
  /** Levels of objects and lists; 64 when not given, at most 1,000. */
  maxDepth?: number;
  /**
   * `exact` (the default): a number that a double does not carry digit for digit becomes `JSON.rawJSON(text)`.
   * `double`: numbers are doubles, and one beyond their range is an error.
   */
  numbers?: 'exact' | 'double';
  /** `keep` (the default): `__proto__`, `constructor`, `prototype` are keys like any other. `reject`: an error. */
  protoKeys?: 'keep' | 'reject';
}

const DEFAULT_DEPTH = 64;
const DEEPEST = 1000;

/**
 * Parses JSON strictly (RFC 8259, and no key twice, I-JSON's rule). Throws JsonError with `code`, `path`, `position`.
 *
 * The engine's own parser does the work; a quick look over text and result finds what it lets through (a key twice,
 * depth, lost digits), and only then, or when it refuses, the strict scanner decides.
 */
export function parseJson(text: string, options: ParseOptions = {}): JsonValue {
  const strict = strictOptions(options);
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch {
    return parseStrict(text, strict);
  }
  return isPlain(text, value, strict) ? value : parseStrict(text, strict);
}

function strictOptions({ maxDepth = DEFAULT_DEPTH, numbers = 'exact', protoKeys = 'keep' }: ParseOptions): StrictOptions {
  if (!(maxDepth >= 1 && maxDepth <= DEEPEST)) {
    throw new RangeError(`maxDepth is from 1 to ${DEEPEST}`);
  }
  return { maxDepth, exact: numbers === 'exact', rejectProtoKeys: protoKeys === 'reject' };
}

/** Whether `value`, which JSON.parse made from `text`, is also what the strict scanner would make of it. */
function isPlain(text: string, value: JsonValue, options: StrictOptions): boolean {
  if (options.rejectProtoKeys && mayHaveProtoKey(text)) {
    return false;
  }
  const members = countMembersInText(text, options);
  return members >= 0 && members === countMembers(value);
}

function mayHaveProtoKey(text: string): boolean {
  return text.includes('__proto__') || text.includes('constructor') || text.includes('prototype') || text.includes('\\');
}

const NOT_PLAIN = -1;

/**
 * Number of `key: value` members of a valid JSON text, or -1 when it needs a closer look: too deep, a long number, or a
 * key with an escape. The last is for V8 in Node 24, whose JSON.parse gives a key of one escaped character another name
 * (`[{"a":1},{"b":1,"\\u0061":2}]` comes out with a key `\\`).
 */
function countMembersInText(text: string, options: StrictOptions): number {
  const length = text.length;
  let members = 0;
  let depth = 0;
  let at = 0;
  let nextEscape = indexOrEnd(text, '\\', 0);
  while (at < length) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = text.indexOf('"', at + 1);
      while (text.charCodeAt(at - 1) === 0x5c && isEscaped(text, at)) {
        at = text.indexOf('"', at + 1);
      }
      if (nextEscape < at) {
        if (isKey(text, at)) {
          return NOT_PLAIN;
        }
        nextEscape = indexOrEnd(text, '\\', at + 1);
      }
    } else if (code === 0x3a) {
      members += 1;
    } else if (code === 0x7b || code === 0x5b) {
      depth += 1;
      if (depth > options.maxDepth) {
        return NOT_PLAIN;
      }
    } else if (code === 0x7d || code === 0x5d) {
      depth -= 1;
    } else if (code === 0x2d || (code >= 0x30 && code <= 0x39)) {
      const end = numberEnd(text, at);
      if (!isPlainNumber(text, at, end, options)) {
        return NOT_PLAIN;
      }
      at = end - 1;
    }
    at += 1;
  }
  return members;
}

function indexOrEnd(text: string, character: string, from: number): number {
  const at = text.indexOf(character, from);
  return at < 0 ? text.length : at;
}

/** Whether the string that ends at `end` is a key: a colon follows. */
function isKey(text: string, end: number): boolean {
  let at = end + 1;
  while (text.charCodeAt(at) <= 0x20) {
    at += 1;
  }
  return text.charCodeAt(at) === 0x3a;
}

function numberEnd(text: string, start: number): number {
  for (let at = start + 1; ; at += 1) {
    const code = text.charCodeAt(at);
    // Digits, + - . and the exponent's letter; NaN at the end of the text ends it too.
    if (!((code >= 0x30 && code <= 0x39) || code === 0x2e || code === 0x2b || code === 0x2d || code === 0x45 || code === 0x65)) {
      return at;
    }
  }
}

const SURELY_EXACT_DIGITS = 15;

function isPlainNumber(text: string, start: number, end: number, options: StrictOptions): boolean {
  if (end - start <= SURELY_EXACT_DIGITS && hasOnlyDigits(text, start, end)) {
    return true;
  }
  const token = text.slice(start, end);
  return options.exact ? String(Number(token)) === token : Number.isFinite(Number(token));
}

function hasOnlyDigits(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x30 || code > 0x39) {
      return false;
    }
  }
  return true;
}

function countMembers(value: JsonValue): number {
  if (typeof value !== 'object' || value === null) {
    return 0;
  }
  let members = 0;
  if (Array.isArray(value)) {
    for (const item of value) {
      members += countMembers(item);
    }
    return members;
  }
  // for-in sees own keys only here: the prototype of what JSON.parse makes has no enumerable ones, `__proto__` included.
  for (const key in value) {
    members += 1;
    const member = (value as Record<string, JsonValue>)[key];
    if (typeof member === 'object' && member !== null) {
      members += countMembers(member);
    }
  }
  return members;
}
