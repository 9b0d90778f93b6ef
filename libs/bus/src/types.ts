/** What the bus logs with; a pino logger is one. */
export interface BusLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Where the brokers are, and as whom they are spoken to. */
export interface BusConnection {
  readonly brokers: string[];
  /** TLS, with the authority of the brokers' certificates in PEM when it is not one that Node trusts. Read once: another one needs a restart. */
  readonly tls?: { readonly ca?: string };
  readonly sasl?: { readonly mechanism: 'scram-sha-512' | 'scram-sha-256' | 'plain'; readonly username: string; readonly password: string };
}

export type HeaderValue = Buffer | string | (Buffer | string)[] | undefined;

export interface OutMessage {
  /** Messages of one key keep their order; null spreads them over the partitions. */
  key: string | Buffer | null;
  value: string | Buffer | null;
  headers?: Record<string, string | Buffer>;
  /** A fixed partition instead of the one of the key. */
  partition?: number;
}

export interface InMessage {
  offset: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: Readonly<Record<string, HeaderValue>>;
  /** Milliseconds since 1970, as text. */
  timestamp: string;
  /** Why the batch that held it could not be unpacked; the first message of such a batch has the batch as its value. */
  codecFault?: string;
}

export interface Batch {
  topic: string;
  partition: number;
  /** In offset order, at least one. */
  messages: InMessage[];
  /** Whether the partition has messages behind these already. */
  more: boolean;
  /** Aborted when the partition is taken away or the consumer stops: work may then end early, with an error. */
  signal: AbortSignal;
}

/** How one message is known to be consumed: `topic`, `partition`, and the next offset to read. */
export interface Lag {
  topic: string;
  partition: number;
  committed: bigint;
  end: bigint;
  lag: bigint;
}

export interface TopicSettings {
  topic: string;
  partitions: number;
  /** Broker's settings of the topic, such as `max.message.bytes`. */
  config?: Record<string, string>;
}

export interface ConsumerOptions {
  groupId: string;
  topics: string[];
  /**
   * Handles messages of one partition. When it resolves, everything for them is durable and their offset is committed;
   * when it rejects, the same messages are handed over again after a back-off: nothing is ever skipped.
   */
  batch: (batch: Batch) => Promise<void>;
  /** Records handed over at once; 1,000 when not given. */
  maxBatchRecords?: number;
  /** Bytes fetched of a partition at once, which also bounds memory: 1 MiB when not given. */
  maxBatchBytes?: number;
  /** Partitions worked on side by side; 1 when not given. Never two batches of one partition. */
  concurrency?: number;
  /** Where a group without offsets starts: the beginning, unless false. */
  fromBeginning?: boolean;
  /** Milliseconds without a heartbeat after which the group gives the partitions to others: how long a killed one holds them; 15,000 when not given. */
  sessionTimeoutMs?: number;
  /** Milliseconds without any sign of life of the consumer after which it is taken for dead; 60,000 when not given. */
  stuckAfterMs?: number;
  /** The consumer is dead for a reason other than the brokers being away: the process should end and be started again. */
  onFatal: (error: Error) => void;
}

export interface BusConsumer extends AsyncDisposable {
  /** True while a member of the group. */
  readonly joined: boolean;
}

export interface BusProducer extends AsyncDisposable {
  /**
   * Resolves when all in-sync replicas have the messages (acks=all, idempotent: a retry inside writes nothing twice).
   * Rejects after some 15 s without success; the messages may then be there or not, so sending them again may double them.
   */
  send(topic: string, messages: OutMessage[]): Promise<void>;
}

export interface Bus extends AsyncDisposable {
  producer(): BusProducer;
  /** Starts a consumer; with the brokers away it keeps trying. */
  consumer(options: ConsumerOptions): BusConsumer;
  /** Creates the topics that are missing; those that are there stay as they are. */
  ensureTopics(topics: TopicSettings[]): Promise<void>;
  /** How far a group is behind, partition by partition. */
  lag(groupId: string, topic: string): Promise<Lag[]>;
}
