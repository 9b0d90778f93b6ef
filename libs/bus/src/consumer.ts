import { setTimeout as pause } from 'node:timers/promises';
import type kafkajs from 'kafkajs';
import { faultHeader } from './codec-fault.ts';
import { measured } from './metrics.ts';
import type { BusConsumer, BusLog, ConsumerOptions, InMessage } from './types.ts';

const HEARTBEAT_MS = 3_000;
const BACK_OFF_FIRST_MS = 100;
const BACK_OFF_MOST_MS = 10_000;
/** How long stopping waits, well within what a process has to end in (fault 24). */
const STOP_PATIENCE_MS = 5_000;

/**
 * A batch consumer whose offsets are committed only after the handler resolved. kafkajs is given no chance to commit or
 * resolve by itself. Three ends are told apart: the handler fails (the same messages again, after a back-off), the
 * brokers are away (a new kafkajs consumer, after a back-off), anything else (`onFatal`).
 */
export function createConsumer(kafka: kafkajs.Kafka, options: ConsumerOptions, log: BusLog): BusConsumer {
  const life = new AbortController();
  const state = { joined: false, lastSign: Date.now() };
  const running = run(kafka, options, log, life.signal, state);
  return {
    get joined() {
      return state.joined;
    },
    async [Symbol.asyncDispose]() {
      life.abort(new Error('the consumer stops'));
      // Joining a group cannot be cut short, and takes as long as members that were killed are waited for.
      await Promise.race([running, pause(STOP_PATIENCE_MS, undefined, { ref: false })]);
    },
  };
}

interface State {
  joined: boolean;
  lastSign: number;
}

/** One kafkajs consumer after the other, until stopped or dead. */
async function run(kafka: kafkajs.Kafka, options: ConsumerOptions, log: BusLog, life: AbortSignal, state: State): Promise<void> {
  for (let failures = 0; !life.aborted; ) {
    const startedAt = Date.now();
    const error = await consumeOnce(kafka, options, log, life, state);
    state.joined = false;
    if (error === undefined) {
      return;
    }
    if (!isBrokerAway(error)) {
      log.error({ groupId: options.groupId, ...reasonOf(error) }, 'the consumer died');
      options.onFatal(error);
      return;
    }
    failures = Date.now() - startedAt > BACK_OFF_MOST_MS * 3 ? 1 : failures + 1;
    log.warn({ groupId: options.groupId, error: error.message }, 'Kafka is away; the consumer starts again');
    await backOff(failures, life);
  }
}

/** Runs a kafkajs consumer to its end: undefined when it was stopped, else what killed it. Never rejects. */
async function consumeOnce(
  kafka: kafkajs.Kafka,
  options: ConsumerOptions,
  log: BusLog,
  life: AbortSignal,
  state: State,
): Promise<Error | undefined> {
  const consumer = kafka.consumer({
    groupId: options.groupId,
    sessionTimeout: options.sessionTimeoutMs ?? 15_000,
    rebalanceTimeout: 60_000,
    heartbeatInterval: HEARTBEAT_MS,
    maxBytesPerPartition: options.maxBatchBytes ?? 1024 * 1024,
    // How long a fetch waits for data; also how long stopping takes.
    maxWaitTimeInMs: 500,
    allowAutoTopicCreation: false,
    retry: { retries: 8, initialRetryTime: 200, maxRetryTime: 5_000, restartOnFailure: async () => false },
  });
  const { promise: ended, resolve: end } = Promise.withResolvers<Error | undefined>();
  const stop = () => end(undefined);
  life.addEventListener('abort', stop, { once: true });
  const watchdog = watch(consumer, options, state, end);
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: options.topics, fromBeginning: options.fromBeginning ?? true });
    const worker = new Worker(options, log, life, state);
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: options.concurrency ?? 1,
      eachBatch: (payload) => worker.eachBatch(payload),
    });
    return life.aborted ? undefined : await ended;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    clearInterval(watchdog);
    life.removeEventListener('abort', stop);
    await consumer.disconnect().catch(() => undefined);
  }
}

/** Some ends of a kafkajs consumer are silent; so it is also taken for dead when nothing is heard of it. */
function watch(consumer: kafkajs.Consumer, options: ConsumerOptions, state: State, end: (error: Error) => void): NodeJS.Timeout {
  const stuckAfter = options.stuckAfterMs ?? 60_000;
  const sign = () => {
    state.lastSign = Date.now();
  };
  sign();
  const { CRASH, FETCH, HEARTBEAT, GROUP_JOIN, REBALANCING, CONNECT, REQUEST } = consumer.events;
  consumer.on(CRASH, ({ payload }) => end(payload.error));
  for (const event of [FETCH, HEARTBEAT, CONNECT, REQUEST] as const) {
    consumer.on(event, sign);
  }
  consumer.on(GROUP_JOIN, () => {
    state.joined = true;
    sign();
  });
  consumer.on(REBALANCING, () => {
    state.joined = false;
    sign();
  });
  const check = () => {
    if (Date.now() - state.lastSign > stuckAfter) {
      end(new Error(`the consumer of ${options.groupId} gave no sign of life for ${stuckAfter} ms`));
    }
  };
  return setInterval(check, Math.min(stuckAfter, 5_000)).unref();
}

class Worker {
  readonly #options: ConsumerOptions;
  readonly #log: BusLog;
  readonly #life: AbortSignal;
  readonly #state: State;
  /** After a rebalance kafkajs may hand over a partition whose former batch is still being worked on. */
  readonly #busy = new Map<string, Promise<void>>();

  constructor(options: ConsumerOptions, log: BusLog, life: AbortSignal, state: State) {
    this.#options = options;
    this.#log = log;
    this.#life = life;
    this.#state = state;
  }

  async eachBatch(payload: kafkajs.EachBatchPayload): Promise<void> {
    const { topic, partition } = payload.batch;
    const slot = `${topic}-${partition}`;
    while (this.#busy.has(slot)) {
      await this.#busy.get(slot);
    }
    const work = this.#inChunks(payload);
    const settled = work.catch(() => undefined).finally(() => this.#busy.delete(slot));
    this.#busy.set(slot, settled);
    await work;
  }

  async #inChunks(payload: kafkajs.EachBatchPayload): Promise<void> {
    const { batch } = payload;
    const size = this.#options.maxBatchRecords ?? 1_000;
    for (let from = 0; from < batch.messages.length; from += size) {
      if (!payload.isRunning() || payload.isStale() || this.#life.aborted) {
        return;
      }
      const messages = batch.messages.slice(from, from + size).map(toMessage);
      if (!(await this.#handle(payload, messages))) {
        return;
      }
      const last = messages[messages.length - 1] as InMessage;
      payload.resolveOffset(last.offset);
      // Given offsets, this commits them; without, it would commit nothing while autoCommit is off.
      const offset = String(BigInt(last.offset) + 1n);
      await payload.commitOffsetsIfNecessary({ topics: [{ topic: batch.topic, partitions: [{ partition: batch.partition, offset }] }] });
      await payload.heartbeat();
    }
  }

  /** Hands the messages over until it works; false when the consumer stops first. Throws what the group has to say (a rebalance). */
  async #handle(payload: kafkajs.EachBatchPayload, messages: InMessage[]): Promise<boolean> {
    const { topic, partition } = payload.batch;
    for (let failures = 1; ; failures += 1) {
      const beat = new Heartbeat(payload, this.#life, this.#state);
      try {
        const last = messages.at(-1)?.offset ?? '0';
        const more = BigInt(last) + 1n < BigInt(payload.batch.highWatermark);
        const batch = { topic, partition, messages, more, signal: beat.signal };
        await measured(this.#options.groupId, batch, () => this.#options.batch(batch));
        return true;
      } catch (error) {
        if (this.#life.aborted || !payload.isRunning()) {
          return false;
        }
        beat.throwIfLost();
        this.#log.warn(
          { topic, partition, offset: messages[0]?.offset, failures, ...reasonOf(error) },
          'a batch failed; it comes again after a pause',
        );
        await backOff(failures, beat.signal);
        beat.throwIfLost();
      } finally {
        beat.end();
      }
    }
  }
}

/** Keeps the membership while a batch is worked on, and aborts the work's signal when it is lost. */
class Heartbeat {
  readonly signal: AbortSignal;
  readonly #lost = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(payload: kafkajs.EachBatchPayload, life: AbortSignal, state: State) {
    this.signal = AbortSignal.any([life, this.#lost.signal]);
    this.#timer = setInterval(() => {
      // The process is alive and at work, whatever the brokers say.
      state.lastSign = Date.now();
      payload.heartbeat().catch((error: unknown) => this.#lost.abort(error));
    }, HEARTBEAT_MS / 2);
  }

  throwIfLost(): void {
    this.#lost.signal.throwIfAborted();
  }

  end(): void {
    clearInterval(this.#timer);
  }
}

const brokerAwayNames = new Set([
  'KafkaJSNumberOfRetriesExceeded',
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSNoBrokerAvailableError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSBrokerNotFound',
  'KafkaJSGroupCoordinatorNotFound',
]);

/**
 * Connections that cannot be made or break, and brokers that are not ready: all that heals without this process being started again.
 * kafkajs wraps some of them as "not retriable" once its own retries are used up, so the causes are looked at too.
 */
export function isBrokerAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return brokerAwayNames.has(error.name) || (error as { retriable?: boolean }).retriable === true || isBrokerAway(error.cause);
}

/** What to log of an error. Not the error itself: a database's may carry every document of the batch. */
function reasonOf(error: unknown): { error: string; stack?: string | undefined } {
  return error instanceof Error
    ? { error: `${error.name}: ${error.message}`.slice(0, 500), stack: error.stack?.slice(0, 2_000) }
    : { error: String(error).slice(0, 500) };
}

/** Waits 100 ms, doubled with each failure up to 10 s, less up to a third at random; ends early, without an error, on abort. */
async function backOff(failures: number, signal: AbortSignal): Promise<void> {
  const full = Math.min(BACK_OFF_FIRST_MS * 2 ** (failures - 1), BACK_OFF_MOST_MS);
  await pause(full * (1 - Math.random() / 3), undefined, { signal }).catch(() => undefined);
}

function toMessage(message: kafkajs.KafkaMessage): InMessage {
  const { [faultHeader]: fault, ...headers } = message.headers ?? {};
  const codecFault = Buffer.isBuffer(fault) ? fault.toString() : undefined;
  return {
    offset: message.offset,
    key: message.key,
    value: message.value,
    headers: codecFault === undefined ? (message.headers ?? {}) : headers,
    timestamp: message.timestamp,
    ...(codecFault !== undefined && { codecFault }),
  };
}
