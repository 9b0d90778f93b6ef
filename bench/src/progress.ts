const QUIET_MS = 2_000;
const EVERY_MS = 5_000;

/** Says how far something is, for whoever waits: after two seconds for the first time, then every five. */
export class Progress {
  readonly #what: string;
  readonly #total: number;
  readonly #startedAt = performance.now();
  #next = this.#startedAt + QUIET_MS;
  #done = 0;

  constructor(what: string, total: number) {
    this.#what = what;
    this.#total = total;
  }

  add(count: number): void {
    this.#done += count;
    const now = performance.now();
    if (now < this.#next) return;
    this.#next = now + EVERY_MS;
    const rate = Math.round((this.#done / (now - this.#startedAt)) * 1000);
    console.log(`  ${this.#what}: ${this.#done} of ${this.#total} (${rate}/s)`);
  }
}
