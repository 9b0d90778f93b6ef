import type { Client } from '@grpc/grpc-js';

/** A client that is held for one call, to its end. */
export type Lease = Disposable & { readonly client: Client };

type Held = { readonly client: Client; readonly until: number; calls: number };

/**
 * Clients of one target, one after the other: at a call after `ageMs` milliseconds (a tenth more or less, so that not all processes turn at
 * once) a new one is made. It resolves the name anew, so that it finds new instances, and shows its certificate again; the one before is closed
 * at the end of its last call.
 *
 * The client ends its connections and not the server (`grpc.max_connection_age_ms`): once a server has written all of its streams it closes the
 * socket, upon which Node's HTTP/2 drops what the reader of a stream has not yet taken, and grpc-js reports `Connection dropped`.
 */
export class Renewed implements Disposable {
  readonly #make: () => Client;
  readonly #ageMs: number;
  #current: Held;

  constructor(make: () => Client, ageMs: number) {
    this.#make = make;
    this.#ageMs = ageMs;
    this.#current = this.#made();
  }

  lease(): Lease {
    if (performance.now() >= this.#current.until) {
      const before = this.#current;
      this.#current = this.#made();
      if (before.calls === 0) before.client.close();
    }
    const held = this.#current;
    held.calls += 1;
    return {
      client: held.client,
      [Symbol.dispose]: () => {
        held.calls -= 1;
        if (held.calls === 0 && held !== this.#current) held.client.close();
      },
    };
  }

  /** Takes no more calls; those of earlier clients end by themselves. */
  [Symbol.dispose](): void {
    this.#current.client.close();
  }

  #made(): Held {
    return { client: this.#make(), until: performance.now() + this.#ageMs * (0.9 + Math.random() * 0.2), calls: 0 };
  }
}
