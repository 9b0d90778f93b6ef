import type { JsonValue } from '@biz/json';
import { isSealedValue } from '@biz/sealing';

/** Whether a value is sealed by @biz/sealing, and not just an object with a key of that name. */
export function isToken(value: JsonValue): boolean {
  return isSealedValue(value) && value.sealed.startsWith('s1.');
}
