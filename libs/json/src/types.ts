/** A number whose digits a double does not carry: made by `JSON.rawJSON`, written back as it came by `JSON.stringify`. */
export interface RawNumber {
  readonly rawJSON: string;
}

export type JsonValue = null | boolean | number | string | RawNumber | JsonValue[] | JsonObject;

export interface JsonObject {
  [key: string]: JsonValue;
}

export type JsonErrorCode = 'syntax' | 'duplicate_key' | 'too_deep' | 'forbidden_key' | 'invalid_utf8';

/** What is wrong with a JSON text, and where: `path` is a JSON Pointer (RFC 6901), `position` an index in UTF-16 code units. */
export class JsonError extends Error {
  readonly code: JsonErrorCode;
  readonly path: string;
  readonly position: number;

  constructor(code: JsonErrorCode, message: string, path = '', position = 0) {
    super(message);
    this.name = 'JsonError';
    this.code = code;
    this.path = path;
    this.position = position;
  }
}

// TypeScript's ES2024 library does not know JSON.rawJSON yet.
const json = JSON as typeof JSON & { rawJSON(text: string): RawNumber; isRawJSON(value: unknown): boolean };

/** A number kept digit for digit. Throws SyntaxError when `text` is not a JSON primitive. */
export function rawNumber(text: string): RawNumber {
  return json.rawJSON(text);
}

export function isRawNumber(value: unknown): value is RawNumber {
  return json.isRawJSON(value);
}

/** True for a JSON object, which neither a list nor a raw number is. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !json.isRawJSON(value);
}

/** Sets an own property whatever the key is called: a plain assignment to `__proto__` would change the prototype. */
export function setOwn(target: JsonObject, key: string, value: JsonValue): void {
  if (key === '__proto__') {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  } else {
    target[key] = value;
  }
}

/** An own property's value; never something inherited such as `constructor`. */
export function getOwn(target: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(target, key) ? target[key] : undefined;
}

/** One reference token of a JSON Pointer (RFC 6901, section 3). */
export function pointerToken(step: string | number): string {
  return typeof step === 'number' ? String(step) : step.replaceAll('~', '~0').replaceAll('/', '~1');
}

const POINTER_LIMIT = 1000;

/** JSON Pointer (RFC 6901) of a path; cut at 1,000 characters, since keys may come from anyone. */
export function jsonPointer(path: readonly (string | number)[]): string {
  let pointer = '';
  for (const step of path) {
    pointer += `/${pointerToken(step)}`;
    if (pointer.length > POINTER_LIMIT) {
      return `${pointer.slice(0, POINTER_LIMIT)}…`;
    }
  }
  return pointer;
}
