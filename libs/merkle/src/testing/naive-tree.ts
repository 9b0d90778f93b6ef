import { hash } from 'node:crypto';

const sha256 = (...parts: Buffer[]) => hash('sha256', Buffer.concat(parts), 'buffer');

/** The definitions of RFC 6962, section 2.1, word for word and slow: what the library is held against. */
export class NaiveTree {
  readonly #leaves: readonly Buffer[];
  readonly #roots = new Map<string, Buffer>();

  /** Of leaf hashes. */
  constructor(leaves: readonly Buffer[]) {
    this.#leaves = leaves;
  }

  /** MTH(D[from:to]). */
  root(to: number, from = 0): Buffer {
    if (from === to) return sha256();
    if (to - from === 1) return this.#leaves[from] as Buffer;
    const key = `${from}-${to}`;
    const known = this.#roots.get(key);
    if (known) return known;
    const middle = from + split(to - from);
    const root = sha256(Buffer.of(1), this.root(middle, from), this.root(to, middle));
    this.#roots.set(key, root);
    return root;
  }

  /** PATH(m, D[from:to]). */
  path(index: number, to: number, from = 0): Buffer[] {
    if (to - from === 1) return [];
    const middle = from + split(to - from);
    return index < middle
      ? [...this.path(index, middle, from), this.root(to, middle)]
      : [...this.path(index, to, middle), this.root(middle, from)];
  }

  /** PROOF(m, D[n]). */
  proof(m: number, n: number): Buffer[] {
    return this.#subproof(m, n, 0, true);
  }

  #subproof(m: number, to: number, from: number, complete: boolean): Buffer[] {
    if (m === to) return complete ? [] : [this.root(to, from)];
    const middle = from + split(to - from);
    return m <= middle
      ? [...this.#subproof(m, middle, from, complete), this.root(to, middle)]
      : [...this.#subproof(m, to, middle, false), this.root(middle, from)];
  }
}

/** The largest power of two smaller than n. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}
