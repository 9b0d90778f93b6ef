import { getOwn, isJsonObject, type JsonObject, type JsonValue, setOwn } from './types.ts';

/**
 * The target with a JSON Merge Patch applied (RFC 7396): `null` removes, objects merge, all else replaces. Neither
 * argument is changed; what is not touched is shared with the result. Keys such as `__proto__` are data.
 */
export function mergePatch(target: JsonValue | undefined, patch: JsonValue): JsonValue {
  if (!isJsonObject(patch)) {
    return patch;
  }
  const result: JsonObject = {};
  const before: JsonObject = isJsonObject(target) ? target : {};
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(patch, key)) {
      setOwn(result, key, before[key] as JsonValue);
    } else if (patch[key] !== null) {
      setOwn(result, key, mergePatch(before[key], patch[key] as JsonValue));
    }
  }
  for (const key of Object.keys(patch)) {
    if (patch[key] !== null && !Object.hasOwn(before, key)) {
      setOwn(result, key, mergePatch(undefined, patch[key] as JsonValue));
    }
  }
  return result;
}

/**
 * The same, changing the target instead of copying it: a fold of many patches costs what the patches are large, not what the state is. Parts of
 * the patch become parts of the target, so the patch is not to be used again. Objects that `isLeaf` says yes to count as one value: they
 * are replaced, never merged into.
 */
export function mergeInto(target: JsonValue | undefined, patch: JsonValue, isLeaf: (value: JsonValue) => boolean = () => false): JsonValue {
  if (!isJsonObject(patch) || isLeaf(patch)) {
    return patch;
  }
  const result: JsonObject = isJsonObject(target) && !isLeaf(target) ? target : {};
  for (const key of Object.keys(patch)) {
    const value = patch[key] as JsonValue;
    if (value === null) {
      delete result[key];
    } else {
      setOwn(result, key, mergeInto(getOwn(result, key), value, isLeaf));
    }
  }
  return result;
}
