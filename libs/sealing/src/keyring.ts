import type { KeyObject } from 'node:crypto';
import { AppError } from '@biz/errors';
import type { Db } from 'mongodb';
import { type BlindKind, blindIndex } from './blind.ts';
import { createDataKeys, type DataKeys, type HeldKey, type KeyOwner } from './data-keys.ts';
import type { Kek } from './kek.ts';
import { type Binding, openText, parseToken, sealText } from './token.ts';

export interface SealItem extends Binding {
  text: string;
}

export interface OpenItem {
  company_id: string | null;
  /** JSON Pointer under which the value was sealed. */
  field: string;
  token: string;
}

export type Opened = { ok: true; text: string } | { ok: false; reason: 'erased' | 'invalid' };

export interface BlindItem {
  company_id: string | null;
  kind: BlindKind;
  value: string;
}

export interface Keyring {
  ensureIndexes(): Promise<void>;
  /**
   * Tokens, in the order of the items; one read and at most one write for all. ErasedError (`conflict`), which names
   * all owners concerned, when the key of any of them was destroyed: then nothing is sealed.
   */
  seal(items: readonly SealItem[]): Promise<string[]>;
  /** Texts, in the order of the items; at most one read for all. Never throws for what a token holds. */
  open(items: readonly OpenItem[]): Promise<Opened[]>;
  /** Hex HMAC-SHA256 under the company's key, of the value's normal form: the same value, the same index. */
  blindIndexes(items: readonly BlindItem[]): Promise<string[]>;
}

/** Sealing was refused: the data keys of these owners were destroyed. */
export class ErasedError extends AppError {
  readonly owners: readonly { company_id: string | null; ownership_id: string }[];

  constructor(owners: readonly { company_id: string | null; ownership_id: string }[]) {
    super('conflict', 'The data of this person was erased: nothing more can be kept about them.');
    this.owners = owners.map(({ company_id, ownership_id }) => ({ company_id, ownership_id }));
  }
}

/**
 * A keyring over `data_keys` of the given database. Keys are kept in memory (at most `cacheSize`, 10,000 when not
 * given) for `cacheSeconds` (60): a key destroyed elsewhere is out of use here after that at the latest.
 */
export function createKeyring(options: { database: Db; kek: Kek; cacheSize?: number; cacheSeconds?: number }): Keyring {
  const { database, kek, cacheSize = 10_000, cacheSeconds = 60 } = options;
  const keys = createDataKeys({ database, kek, cacheSize, cacheSeconds });
  return {
    ensureIndexes: () => keys.ensureIndexes(),
    seal: (items) => seal(keys, items),
    open: (items) => open(keys, items),
    blindIndexes: (items) => blindIndexes(keys, items),
  };
}

async function seal(keys: DataKeys, items: readonly SealItem[]): Promise<string[]> {
  const held = await keys.ensure(items.map(dataOwner));
  const erased = items.filter((_, index) => held[index]?.state === 'erased');
  if (erased.length > 0) throw new ErasedError(erased);
  const usable = held.map(usableKey);
  return items.map((item, index) => sealText(usable[index] as KeyObject, item, item.text));
}

async function open(keys: DataKeys, items: readonly OpenItem[]): Promise<Opened[]> {
  const parsed = items.map((item) => {
    const token = parseToken(item.token);
    return token && { ...token, company_id: item.company_id, field: item.field };
  });
  const held = (await keys.find(parsed.flatMap((entry) => (entry ? [dataOwner(entry)] : [])))).values();
  return parsed.map((entry): Opened => {
    const key = entry && held.next().value;
    if (!entry || !key || key.state === 'broken') return { ok: false, reason: 'invalid' };
    if (key.state === 'erased') return { ok: false, reason: 'erased' };
    const text = openText(key.key, entry, entry.body);
    return text === undefined ? { ok: false, reason: 'invalid' } : { ok: true, text };
  });
}

async function blindIndexes(keys: DataKeys, items: readonly BlindItem[]): Promise<string[]> {
  const owners = items.map((item): KeyOwner => ({ kind: 'blind', company_id: item.company_id, ownership_id: null }));
  const held = await keys.ensure(owners);
  return items.map((item, index) => blindIndex(usableKey(held[index]), item.kind, item.value));
}

function dataOwner(item: { company_id: string | null; ownership_id: string }): KeyOwner {
  return { kind: 'data', company_id: item.company_id, ownership_id: item.ownership_id };
}

function usableKey(held: HeldKey | undefined): KeyObject {
  if (held?.state === 'active') return held.key;
  throw new AppError('internal', 'a key does not open with the key-encryption key of this process');
}
