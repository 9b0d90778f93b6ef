import { getOwn, isJsonObject, type JsonValue } from './types.ts';

/** The steps of a JSON Pointer (RFC 6901); undefined for a text that is none. The empty pointer is the whole value. */
export function pointerSteps(pointer: string): string[] | undefined {
  if (pointer === '') return [];
  if (!/^(\/([^~/]|~[01])*)+$/u.test(pointer)) return undefined;
  // `~1` first: `~01` is the two characters `~1` (section 4).
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

const INDEX = /^(0|[1-9][0-9]*)$/;

/** What is at the end of the steps; undefined when nothing is. Only own properties are seen, and list items by index. */
export function valueAt(value: JsonValue | undefined, steps: readonly string[]): JsonValue | undefined {
  let at = value;
  for (const step of steps) {
    if (Array.isArray(at)) at = INDEX.test(step) ? at[Number(step)] : undefined;
    else at = isJsonObject(at) ? getOwn(at, step) : undefined;
  }
  return at;
}
