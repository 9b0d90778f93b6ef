import type { Placed, Snapshot } from './batch.ts';

/** Places in the log: those of a former try stay, others get the next free one, in order of offsets. */
export class Places {
  readonly #byOffset: ReadonlyMap<number, Placed>;
  readonly #taken: ReadonlySet<number>;
  readonly #passed: string[] = [];
  #next: number;

  constructor({ base, placed }: Snapshot) {
    this.#byOffset = new Map(placed.map((one) => [one.offset, one]));
    this.#taken = new Set(placed.map((one) => one.leaf_index));
    this.#next = base;
  }

  get size(): number {
    return this.#next;
  }

  /** The place that this message already has. */
  of(offset: number, eventKey: string): Placed | undefined {
    const placed = this.#byOffset.get(offset);
    return placed?.event_id === eventKey ? placed : undefined;
  }

  next(): number {
    while (this.#taken.has(this.#next)) {
      this.#next += 1;
    }
    return this.#next++;
  }

  /** An event that needs no place, though a former try may have kept one for it. */
  passed(eventKey: string): void {
    this.#passed.push(eventKey);
  }

  /** Free places before `placed`: a former try kept them for events that got in through another log meanwhile. */
  *fillUpTo(placed: number): Generator<{ leaf_index: number; duplicate_of: string }> {
    for (; this.#next < placed; this.#next += 1) {
      if (!this.#taken.has(this.#next)) {
        yield { leaf_index: this.#next, duplicate_of: this.#passed.shift() ?? '' };
      }
    }
    this.#next = Math.max(this.#next, placed + 1);
  }
}
