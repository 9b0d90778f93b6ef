import { AppError } from '@biz/errors';
import { type JsonChange, type JsonObject, type JsonValue, jsonDiff, parseJson, pointerSteps, valueAt } from '@biz/json';
import { type Keyring, type OpenedFields, openFields } from '@biz/sealing';
import { ERASED, SEALED, shownFields } from '../query/present.ts';
import type { Folded } from './fold.ts';
import { isToken } from './token.ts';

/** A state as a caller sees it. */
export interface Shown {
  version: number;
  /** Whether anything is known of it; else `value` says why not. */
  known: boolean;
  /** For comparing: with the tokens of what stays closed. Undefined before the first version. */
  compared: JsonValue | undefined;
  /** For showing: closed fields say so in their places. */
  value: JsonValue | undefined;
}

/** Opens what the caller may see opened: tokens of single fields stay through the fold and are opened at its end, all with one read of keys. */
export async function show(
  keyring: Pick<Keyring, 'open'>,
  states: readonly Folded[],
  company_id: string | null,
  open: boolean,
): Promise<Shown[]> {
  const results = await openFields(
    keyring,
    states.map(({ state }) => ({ company_id, data: state, mayOpen: () => open })),
  );
  return states.map((folded, index): Shown => {
    const { version, known, last } = folded;
    const opened = results[index];
    if (last === null || opened === undefined) return { version, known: false, compared: undefined, value: undefined };
    if (known === 0) {
      const closed = parseJson(folded.sealed.count > 0 ? SEALED : ERASED);
      return { version, known: false, compared: closed, value: closed };
    }
    return { version, known: true, compared: opened.data, value: shownFields(tokensOnly(opened)) };
  });
}

/** Without what only looks like a sealed value: a producer that seals nothing may have a key of that name. */
function tokensOnly({ data, ...closed }: OpenedFields): OpenedFields {
  const isPlain = (path: string) => {
    const value = valueAt(data, pointerSteps(path) ?? []);
    return value !== undefined && !isToken(value);
  };
  const [sealed, invalid] = [closed.sealed, closed.invalid].map((paths) => paths.filter((path) => !isPlain(path)));
  return { ...closed, data, sealed: sealed ?? [], invalid: invalid ?? [] };
}

/** The changes from one state to another. Of a state of which nothing is known there is one change, of the whole. */
export function changesBetween(from: Shown, to: Shown): JsonChange[] {
  if (from.version === to.version) return [];
  const whole = (from.value !== undefined && !from.known) || (to.value !== undefined && !to.known);
  if (whole) return wholeChange(from.value, to.value);
  const found = jsonDiff(from.compared, to.compared, isToken);
  return found.map((change) => {
    const steps = pointerSteps(change.path) ?? [];
    return {
      ...change,
      ...('before' in change && { before: valueAt(from.value, steps) ?? null }),
      ...('after' in change && { after: valueAt(to.value, steps) ?? null }),
    } as JsonChange;
  });
}

function wholeChange(before: JsonValue | undefined, after: JsonValue | undefined): JsonChange[] {
  if (before === undefined) return after === undefined ? [] : [{ op: 'add', path: '', after }];
  return after === undefined ? [{ op: 'remove', path: '', before }] : [{ op: 'replace', path: '', before, after }];
}

/** What is missing from a state, as the contract's message; undefined when nothing is. */
export function unknownOf({ sealed, erased, missing }: Folded): object | undefined {
  if (sealed.count + erased.count + missing === 0) return undefined;
  return {
    sealed_versions: sealed.versions,
    sealed: sealed.count,
    erased_versions: erased.versions,
    erased: erased.count,
    missing,
  };
}

/** JSON texts of an answer, which together may have so many bytes; AppError `too_large` beyond. */
export class AnswerText {
  #left: number;

  constructor(maxBytes: number) {
    this.#left = maxBytes;
  }

  write(value: JsonValue | JsonObject): string {
    const text = JSON.stringify(value);
    this.#left -= Buffer.byteLength(text);
    if (this.#left < 0) throw new AppError('too_large', 'This is larger than an answer may be; the records can be read one by one.');
    return text;
  }
}
