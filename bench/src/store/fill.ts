import { hash } from 'node:crypto';
import { type AuditStore, type Collections, createMongoStore, growTree, LogPending, recordOf, sealEvents, signMoved } from '@biz/audit';
import { type Edge, EMPTY_EDGE, type Signer } from '@biz/merkle';
import type { Keyring } from '@biz/sealing';
import { seeded } from '@biz/testing';
import type { Db } from 'mongodb';
import { Progress } from '../progress.ts';
import { type Draft, eventsOf } from './events.ts';
import type { Mix } from './mix.ts';

export interface FillParts {
  db: Db;
  collections: Collections;
  keyring: Keyring;
  signerOf: (logId: string) => Signer;
  /** The file for checkpoints outside the database. */
  file: string;
}

export const LOGS = 6;
const BATCH = 1_000;
/** As the consumer, which writes heads and ownerships once for so many leaves while it works off a backlog. */
const PUT_OFF = 10_000;
/** Time between two records; a million are 23 days, which end now. */
const STEP_MS = 2_000;

/**
 * Fills the store with what the consumer would have left there, made by the service's own functions but without Kafka, and without looking
 * up what is there: records, heads, ownerships, tiles, logs, and checkpoints in steps, inside and outside the database.
 */
export async function fillStore(parts: FillParts, mix: Mix): Promise<void> {
  const store = createMongoStore(parts.collections);
  const logs = Array.from({ length: LOGS }, (_, partition) => new Log(parts.keyring, store, `audit-${partition}`));
  const progress = new Progress('filling the store', mix.order.length);
  for (const [at, draft] of draftsOf(mix)) {
    const log = logs[at % LOGS] as Log;
    log.drafts.push(draft);
    if (log.drafts.length === BATCH) {
      await log.flush();
      progress.add(BATCH);
    }
  }
  for (const log of logs) await log.finish();
  const checkpointer = { ...parts, store, everyMs: 1_000, log: { error: console.error, warn: console.warn } };
  const signed = new Map<string, number>();
  while (await signMoved(checkpointer, signed));
}

/** Each record in turn, with the number of its entity, which decides the log. */
function* draftsOf(mix: Mix): Generator<[number, Draft]> {
  const random = seeded(mix.order.length);
  const start = Date.now() - mix.order.length * STEP_MS;
  const versions = new Uint32Array(mix.entities.length);
  for (const [place, at] of mix.order.entries()) {
    versions[at] = (versions[at] as number) + 1;
    const draft = {
      entity: mix.entities[at] as Mix['entities'][number],
      version: versions[at] as number,
      at: new Date(start + place * STEP_MS),
      user: `u-${Math.floor(random() * mix.users)}`,
      trace: hash('sha256', `trace ${Math.floor(place / mix.perTrace)}`).slice(0, 32),
    };
    yield [at, draft];
  }
}

/** One log being filled. */
class Log {
  drafts: Draft[] = [];
  readonly #keyring: Keyring;
  readonly #store: AuditStore;
  readonly #pending: LogPending;
  #edge: Edge = EMPTY_EDGE;

  constructor(keyring: Keyring, store: AuditStore, logId: string) {
    this.#keyring = keyring;
    this.#store = store;
    this.#pending = new LogPending(logId, 0, 0);
  }

  async flush(): Promise<void> {
    const { logId } = this.#pending;
    const drafts = this.drafts;
    this.drafts = [];
    const base = this.#edge.size;
    const receivedAt = drafts.at(-1)?.at ?? new Date();
    const events = await eventsOf(this.#keyring, drafts);
    const texts = await sealEvents(this.#keyring, events, receivedAt);
    const documents = events.map((event, index) => {
      const place = { log_id: logId, leaf_index: base + index, offset: base + index, version: drafts[index]?.version ?? 0 };
      const isNewest = place.version === drafts[index]?.entity.versions;
      const received = new Date(event.action_at.getTime() + 200);
      return recordOf(
        event,
        { ...place, active_after: true, is_active: isNewest },
        texts[index] as (typeof texts)[number],
        received,
        300_000,
      );
    });
    const heads = documents.map(({ entity_key, version, _id }, index) => ({
      entity_key,
      version,
      record_id: _id,
      active: true,
      event: events[index] as (typeof events)[number],
    }));
    const [grown] = await Promise.all([
      growTree(this.#store, logId, this.#edge, base + documents.length, documents),
      this.#store.insert(documents),
    ]);
    await this.#store.saveTiles(logId, grown.tiles);
    this.#edge = grown.edge;
    this.#pending.add(
      heads,
      events.map((event, index) => ({ event, leaf_index: base + index })),
    );
    this.#pending.size = grown.edge.size;
    if (this.#pending.size - this.#pending.applied >= PUT_OFF) await this.#apply();
  }

  async finish(): Promise<void> {
    if (this.drafts.length > 0) await this.flush();
    await this.#apply();
    const { logId } = this.#pending;
    const size = this.#edge.size;
    if (!(await this.#store.advance(logId, 0, { size, applied: size, next_offset: size, edge: this.#edge })))
      throw new Error(`${logId} is there already`);
  }

  async #apply(): Promise<void> {
    const { logId, heads, merges, size } = this.#pending;
    await Promise.all([this.#store.raiseHeads([...heads.values()]), this.#store.mergeOwnerships(logId, [...merges.values()])]);
    this.#pending.done(size);
  }
}
