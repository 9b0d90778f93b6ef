import { getOwn, isJsonObject, type JsonObject, type JsonValue, jsonPointer, parseJson, setOwn } from '@biz/json';
import { sealUnlessErased } from './erasable.ts';
import type { Keyring, SealItem } from './keyring.ts';

/** A sealed value where a plain one was: `{"sealed": "<token>"}`. */
export interface SealedValue {
  sealed: string;
}

export interface SealTarget {
  company_id: string | null;
  event_id: string;
  data: JsonObject;
  /** What to seal: JSON Pointers into `data`, each with the person (or company) it belongs to. */
  fields: readonly { path: string; ownership_id: string }[];
}

export interface OpenTarget {
  company_id: string | null;
  data: JsonObject;
  /** Which sealed values to open, by their JSON Pointer; all when not given. */
  mayOpen?: (path: string) => boolean;
}

export interface OpenedFields {
  /** The data with the opened values in their places; what was not opened stays `{"sealed": …}`. */
  data: JsonObject;
  /** Not opened because `mayOpen` said no. */
  sealed: string[];
  /** Not opened because the key was destroyed. */
  erased: string[];
  /** Not opened because the token does not belong here or was changed. */
  invalid: string[];
}

export function isSealedValue(value: JsonValue | undefined): value is JsonObject & SealedValue {
  return isJsonObject(value) && typeof value.sealed === 'string' && Object.keys(value).length === 1;
}

/**
 * The data of all targets with the named fields sealed, each as JSON text; absent and null ones stay as they are
 * (null clears in a merge patch, and tells nothing). Arguments are not changed. Errors: those of `Keyring.seal`.
 */
export function sealFields(keyring: Pick<Keyring, 'seal'>, targets: readonly SealTarget[]): Promise<JsonObject[]> {
  return sealedBy((items) => keyring.seal(items), targets);
}

/** As `sealFields`, but a field whose key was destroyed becomes null: its value is then kept nowhere. Errors: those of `Keyring.seal` but that. */
export function sealFieldsUnlessErased(keyring: Pick<Keyring, 'seal'>, targets: readonly SealTarget[]): Promise<JsonObject[]> {
  return sealedBy((items) => sealUnlessErased(keyring, items), targets);
}

async function sealedBy(
  seal: (items: readonly SealItem[]) => Promise<readonly (string | null)[]>,
  targets: readonly SealTarget[],
): Promise<JsonObject[]> {
  const places = targets.flatMap((target, index) =>
    target.fields.flatMap(({ path, ownership_id }) => {
      const value = valueAt(target.data, stepsOf(path));
      return value === undefined || value === null ? [] : [{ index, path, ownership_id, text: JSON.stringify(value) }];
    }),
  );
  if (places.length === 0) return targets.map((target) => target.data);
  const tokens = await seal(
    places.map(({ index, path, ownership_id, text }) => {
      const { company_id, event_id } = targets[index] as SealTarget;
      return { company_id, event_id, ownership_id, field: path, text };
    }),
  );
  const results = targets.map((target) => target.data);
  for (const [at, { index, path }] of places.entries()) {
    const sealed = tokens[at] ?? null;
    results[index] = replaced(results[index] as JsonObject, stepsOf(path), sealed === null ? null : { sealed });
  }
  return results;
}

/** Opens the sealed values of many objects at once (one read of keys), and says which stay closed and why. */
export async function openFields(keyring: Pick<Keyring, 'open'>, targets: readonly OpenTarget[]): Promise<OpenedFields[]> {
  const results = targets.map(({ data }): OpenedFields => ({ data, sealed: [], erased: [], invalid: [] }));
  const places: { index: number; steps: string[]; path: string; token: string }[] = [];
  for (const [index, { data, mayOpen }] of targets.entries()) {
    for (const { steps, token } of sealedValues(data, [])) {
      const path = jsonPointer(steps);
      if (mayOpen && !mayOpen(path)) results[index]?.sealed.push(path);
      else places.push({ index, steps, path, token });
    }
  }
  if (places.length === 0) return results;
  const opened = await keyring.open(
    places.map(({ index, path, token }) => ({ company_id: targets[index]?.company_id ?? null, field: path, token })),
  );
  for (const [at, { index, steps, path }] of places.entries()) {
    const result = results[index] as OpenedFields;
    const value = opened[at];
    if (value?.ok) result.data = replaced(result.data, steps, parseJson(value.text));
    else result[value?.reason ?? 'invalid'].push(path);
  }
  return results;
}

function* sealedValues(value: JsonValue | undefined, steps: string[]): Generator<{ steps: string[]; token: string }> {
  if (isSealedValue(value)) {
    yield { steps, token: value.sealed };
  } else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) yield* sealedValues(item, [...steps, String(index)]);
  } else if (isJsonObject(value)) {
    for (const key of Object.keys(value)) yield* sealedValues(getOwn(value, key), [...steps, key]);
  }
}

function stepsOf(pointer: string): string[] {
  if (!pointer.startsWith('/')) throw new Error(`a field is named by a JSON Pointer, not by '${pointer}'`);
  return pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function valueAt(value: JsonValue | undefined, steps: readonly string[]): JsonValue | undefined {
  let at = value;
  for (const step of steps) at = isJsonObject(at) ? getOwn(at, step) : undefined;
  return at;
}

/** A copy along the path, the rest shared. The path exists: it was found by walking the same value. */
function replaced(value: JsonObject, steps: readonly string[], leaf: JsonValue): JsonObject;
function replaced(value: JsonValue, steps: readonly string[], leaf: JsonValue): JsonValue;
function replaced(value: JsonValue, steps: readonly string[], leaf: JsonValue): JsonValue {
  const [step, ...rest] = steps;
  if (step === undefined) return leaf;
  if (Array.isArray(value)) return value.map((item, index) => (String(index) === step ? replaced(item, rest, leaf) : item));
  const copy: JsonObject = {};
  if (!isJsonObject(value)) return copy;
  for (const key of Object.keys(value)) {
    const item = value[key] as JsonValue;
    setOwn(copy, key, key === step ? replaced(item, rest, leaf) : item);
  }
  return copy;
}
