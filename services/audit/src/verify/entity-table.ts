const KEY_BYTES = 24;
/** The form of an entity key (keys.ts): 192 bits as base64url. */
const KEY_FORM = /^[A-Za-z0-9_-]{32}$/;
const FIRST_ROWS = 1_024;
const GROWTH = 1.5;

/** Columns of a row. */
const columns = ['newest', 'inside', 'flagged', 'count', 'sum', 'sum2', 'bits'] as const;
export type Column = (typeof columns)[number];

/**
 * What the walk keeps of each entity, in typed arrays: 24 bytes of key and seven numbers of four, and between six and twelve
 * for finding it; with the room to grow 60 to 90 bytes an entity, where a Map of objects takes 300.
 */
export class EntityTable {
  #keys = Buffer.alloc(FIRST_ROWS * KEY_BYTES);
  #values = new Uint32Array(FIRST_ROWS * columns.length);
  /** Row number and one, by hash of the key; zero is free. Open addressing, at most two thirds full. */
  #slots = new Uint32Array(FIRST_ROWS * 2);
  #capacity = FIRST_ROWS;
  size = 0;

  /** The entity's row, a new one of zeros when it has none; undefined for a text that cannot be an entity's key. */
  row(key: string): number | undefined {
    if (!KEY_FORM.test(key)) return undefined;
    const bytes = Buffer.from(key, 'base64url');
    if (this.size === this.#capacity) this.#grow();
    const slot = this.#slotOf(bytes);
    const found = this.#slots[slot] as number;
    if (found > 0) return found - 1;
    const row = this.size;
    bytes.copy(this.#keys, row * KEY_BYTES);
    this.size += 1;
    this.#slots[slot] = this.size;
    return row;
  }

  key(row: number): string {
    return this.#keys.toString('base64url', row * KEY_BYTES, (row + 1) * KEY_BYTES);
  }

  get(row: number, column: Column): number {
    return this.#values[row * columns.length + columns.indexOf(column)] as number;
  }

  /** Modulo 2^32. */
  set(row: number, column: Column, value: number): void {
    this.#values[row * columns.length + columns.indexOf(column)] = value;
  }

  /** Bytes held, by the number of entities. */
  get bytes(): number {
    return this.#keys.byteLength + this.#values.byteLength + this.#slots.byteLength;
  }

  #slotOf(bytes: Buffer): number {
    // A key is a cryptographic hash, so any of its bits spread well.
    const mask = this.#slots.length;
    let slot = bytes.readUInt32LE(0) % mask;
    for (let found = this.#slots[slot] as number; found > 0; found = this.#slots[slot] as number) {
      if (bytes.compare(this.#keys, (found - 1) * KEY_BYTES, found * KEY_BYTES) === 0) return slot;
      slot = slot + 1 === mask ? 0 : slot + 1;
    }
    return slot;
  }

  #grow(): void {
    this.#capacity = Math.ceil(this.#capacity * GROWTH);
    const keys = Buffer.alloc(this.#capacity * KEY_BYTES);
    this.#keys.copy(keys);
    this.#keys = keys;
    const values = new Uint32Array(this.#capacity * columns.length);
    values.set(this.#values);
    this.#values = values;
    this.#slots = new Uint32Array(Math.ceil(this.#capacity * 1.5));
    for (let row = 0; row < this.size; row += 1) {
      this.#slots[this.#slotOf(keys.subarray(row * KEY_BYTES, (row + 1) * KEY_BYTES))] = row + 1;
    }
  }
}
