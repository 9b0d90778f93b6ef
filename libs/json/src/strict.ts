import { JsonError, type JsonErrorCode, type JsonObject, type JsonValue, jsonPointer, rawNumber, setOwn } from './types.ts';

export interface StrictOptions {
  maxDepth: number;
  exact: boolean;
  rejectProtoKeys: boolean;
}

const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype']);
const numberPattern = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 8259 names exactly these.
const controlCharacter = /[\u0000-\u001f]/;

/**
 * The authority on what is accepted: RFC 8259 by recursive descent, with the depth counted before each step down.
 * Slower than the engine's own parser; it runs when that one, or the quick look over its result, found something.
 */
export function parseStrict(text: string, options: StrictOptions): JsonValue {
  return new Scanner(text, options).document();
}

class Scanner {
  readonly #text: string;
  readonly #options: StrictOptions;
  readonly #path: (string | number)[] = [];
  #at = 0;
  #depth = 0;

  constructor(text: string, options: StrictOptions) {
    this.#text = text;
    this.#options = options;
  }

  document(): JsonValue {
    this.#space();
    const value = this.#value();
    this.#space();
    if (this.#at < this.#text.length) {
      this.#fail('syntax', 'there is more after the end of the JSON text');
    }
    return value;
  }

  #value(): JsonValue {
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object();
      case '[':
        return this.#array();
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      default:
        return this.#number();
    }
  }

  #object(): JsonObject {
    const object: JsonObject = {};
    this.#enter();
    if (this.#text[this.#at] === '}') {
      this.#at += 1;
      return object;
    }
    for (;;) {
      if (this.#text[this.#at] !== '"') {
        this.#fail('syntax', 'a key in double quotes is expected');
      }
      const start = this.#at;
      const key = this.#string();
      this.#path.push(key);
      this.#checkKey(object, key, start);
      this.#space();
      this.#expect(':');
      this.#space();
      setOwn(object, key, this.#value());
      this.#path.pop();
      if (this.#closes('}')) {
        return object;
      }
    }
  }

  #checkKey(object: JsonObject, key: string, start: number): void {
    if (Object.hasOwn(object, key)) {
      this.#fail('duplicate_key', 'the key is there twice', start);
    }
    if (this.#options.rejectProtoKeys && forbiddenKeys.has(key)) {
      this.#fail('forbidden_key', 'the key is not allowed', start);
    }
  }

  #array(): JsonValue[] {
    const list: JsonValue[] = [];
    this.#enter();
    if (this.#text[this.#at] === ']') {
      this.#at += 1;
      return list;
    }
    for (;;) {
      this.#path.push(list.length);
      list.push(this.#value());
      this.#path.pop();
      if (this.#closes(']')) {
        return list;
      }
    }
  }

  #enter(): void {
    this.#depth += 1;
    if (this.#depth > this.#options.maxDepth) {
      this.#fail('too_deep', `nested deeper than ${this.#options.maxDepth} levels`);
    }
    this.#at += 1;
    this.#space();
  }

  #closes(bracket: '}' | ']'): boolean {
    this.#space();
    const character = this.#text[this.#at];
    if (character === bracket) {
      this.#at += 1;
      this.#depth -= 1;
      return true;
    }
    if (character !== ',') {
      this.#fail('syntax', `a comma or ${bracket} is expected`);
    }
    this.#at += 1;
    this.#space();
    return false;
  }

  #string(): string {
    const start = this.#at;
    let end = this.#text.indexOf('"', start + 1);
    while (end > 0 && isEscaped(this.#text, end)) {
      end = this.#text.indexOf('"', end + 1);
    }
    if (end < 0) {
      this.#fail('syntax', 'a string does not end', start);
    }
    this.#at = end + 1;
    const inner = this.#text.slice(start + 1, end);
    if (!inner.includes('\\')) {
      if (controlCharacter.test(inner)) {
        this.#fail('syntax', 'a control character in a string is not escaped', start);
      }
      return inner;
    }
    try {
      return JSON.parse(this.#text.slice(start, end + 1)) as string;
    } catch {
      this.#fail('syntax', 'a string has a bad escape or a control character', start);
    }
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) {
      this.#fail('syntax', 'a value is expected');
    }
    this.#at += word.length;
    return value;
  }

  #number(): JsonValue {
    numberPattern.lastIndex = this.#at;
    const token = numberPattern.exec(this.#text)?.[0];
    if (token === undefined) {
      this.#fail('syntax', 'a value is expected');
    }
    this.#at += token.length;
    const number = Number(token);
    if (!this.#options.exact && !Number.isFinite(number)) {
      this.#fail('syntax', 'the number is out of range');
    }
    return this.#options.exact && String(number) !== token ? rawNumber(token) : number;
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) {
        return;
      }
      this.#at += 1;
    }
  }

  #expect(character: string): void {
    if (this.#text[this.#at] !== character) {
      this.#fail('syntax', `${character} is expected`);
    }
    this.#at += 1;
  }

  #fail(code: JsonErrorCode, message: string, position = this.#at): never {
    throw new JsonError(code, message, jsonPointer(this.#path), position);
  }
}

/** Whether the quote at `end` is escaped: an odd number of backslashes stands before it. */
export function isEscaped(text: string, end: number): boolean {
  let at = end - 1;
  while (text.charCodeAt(at) === 0x5c) {
    at -= 1;
  }
  return (end - at) % 2 === 0;
}
