import { ErasedError, type Keyring, type SealItem } from './keyring.ts';

/** Tokens in the order of the items; null where the key was destroyed: the text is then kept nowhere. Errors: those of `Keyring.seal` but that. */
export async function sealUnlessErased(keyring: Pick<Keyring, 'seal'>, items: readonly SealItem[]): Promise<(string | null)[]> {
  const erased = new Set<string>();
  for (;;) {
    const left = items.filter((item) => !erased.has(ownerOf(item)));
    try {
      const tokens = left.length === 0 ? [] : await keyring.seal(left);
      const byItem = new Map(left.map((item, index) => [item, tokens[index] ?? null]));
      return items.map((item) => byItem.get(item) ?? null);
    } catch (error) {
      if (!(error instanceof ErasedError)) throw error;
      for (const owner of error.owners) erased.add(ownerOf(owner));
    }
  }
}

function ownerOf({ company_id, ownership_id }: { company_id: string | null; ownership_id: string }): string {
  return JSON.stringify([company_id, ownership_id]);
}
