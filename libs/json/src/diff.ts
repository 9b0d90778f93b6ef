import { canonicalJson } from './canonical.ts';
import { getOwn, isJsonObject, isRawNumber, type JsonObject, type JsonValue, pointerToken } from './types.ts';

/** One operation of a JSON Patch (RFC 6902), with the value that was there before. `path` is a JSON Pointer (RFC 6901), never cut. */
export type JsonChange =
  | { op: 'add'; path: string; after: JsonValue }
  | { op: 'remove'; path: string; before: JsonValue }
  | { op: 'replace'; path: string; before: JsonValue; after: JsonValue };

/**
 * What turns `before` into `after` when it is applied in order. The same two values give the same list, whatever the order of their members: members by
 * UTF-16 code units, items of arrays by index (those that are gone from the end). Numbers are compared digit for digit: `1` and
 * `1.0` differ. Objects that `isLeaf` says yes to count as one value. `undefined` is nothing at all.
 */
export function jsonDiff(
  before: JsonValue | undefined,
  after: JsonValue | undefined,
  isLeaf: (value: JsonValue) => boolean = () => false,
): JsonChange[] {
  const changes: JsonChange[] = [];
  const compare = (path: string, one: JsonValue | undefined, other: JsonValue | undefined): void => {
    if (one === undefined || other === undefined) {
      if (other !== undefined) changes.push({ op: 'add', path, after: other });
      if (one !== undefined) changes.push({ op: 'remove', path, before: one });
    } else if (Array.isArray(one) && Array.isArray(other)) {
      compareItems(path, one, other);
    } else if (isJsonObject(one) && isJsonObject(other) && !isLeaf(one) && !isLeaf(other)) {
      for (const key of namesOf(one, other)) compare(`${path}/${pointerToken(key)}`, getOwn(one, key), getOwn(other, key));
    } else if (!isSame(one, other)) {
      changes.push({ op: 'replace', path, before: one, after: other });
    }
  };
  const compareItems = (path: string, one: JsonValue[], other: JsonValue[]): void => {
    const common = Math.min(one.length, other.length);
    for (let index = 0; index < common; index += 1) compare(`${path}/${index}`, one[index], other[index]);
    for (let index = common; index < other.length; index += 1) compare(`${path}/${index}`, undefined, other[index]);
    // From the end, so that each index is still right when it is applied.
    for (let index = one.length - 1; index >= common; index -= 1) compare(`${path}/${index}`, one[index], undefined);
  };
  compare('', before, after);
  return changes;
}

function namesOf(one: JsonObject, other: JsonObject): string[] {
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].sort();
}

/** Two values of which not both are objects, or both lists. */
function isSame(one: JsonValue, other: JsonValue): boolean {
  if (one === other) return true;
  if (isNumber(one) || isNumber(other)) return isNumber(one) && isNumber(other) && canonicalJson(one) === canonicalJson(other);
  return isJsonObject(one) && isJsonObject(other) && canonicalJson(one) === canonicalJson(other);
}

function isNumber(value: JsonValue): boolean {
  return typeof value === 'number' || isRawNumber(value);
}
