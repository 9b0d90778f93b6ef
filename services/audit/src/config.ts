import { readConfig, serviceShape } from '@biz/service';
import { z } from 'zod';

const count = (value: number) => z.coerce.number().int().positive().default(value);

const seconds = (value: number) => z.coerce.number().positive().default(value);

const shape = {
  ...serviceShape,
  MONGODB_DATABASE: z.string().min(1).default('audit'),
  DLQ_TOPIC: z.string().min(1).default('audit.dlq'),
  /** The consumer group that shares the partitions. */
  CONSUMER_GROUP: z.string().min(1).default('audit'),
  /** Records taken at once, of one partition. */
  BATCH_RECORDS: count(1_000),
  /** Bytes fetched at once, of one partition: some batches' worth, so that most are full. With CONCURRENCY it bounds memory. */
  BATCH_BYTES: count(4 * 1024 * 1024),
  /** Partitions worked on side by side: one is read and sealed while another is written. */
  CONCURRENCY: count(4),
  /** Bytes of an envelope beyond which it is a dead letter (`too_large`). */
  ENVELOPE_MAX_BYTES: count(1_000_000),
  /** Seconds between a producer's clock and ours beyond which a record is flagged (`clock_skew`). */
  CLOCK_SKEW_SECONDS: count(300),
  /** Seed of the Ed25519 key that checkpoints are signed with: base64 of 32 bytes. */
  CHECKPOINT_KEY: z.string().min(1),
  /** What the logs are called to the outside: a log's origin is this, a slash and its id. */
  CHECKPOINT_ORIGIN: z
    .string()
    .min(1)
    .regex(/^[^\s+]+$/, 'must have no space and no plus')
    .default('biz-retail.local/audit'),
  /** File outside the database that every checkpoint is appended to; in production on write-once storage. */
  CHECKPOINT_FILE: z.string().min(1).optional(),
  /** Milliseconds between looks for logs that have moved. */
  CHECKPOINT_EVERY_MS: count(1_000),
  /** Days that the audit's own events stay in its outbox once they are published; their records stay for good. */
  OUTBOX_KEEP_DAYS: count(30),
  /** Seconds without a sign of life after which a read that was being streamed is recorded as interrupted. */
  OPEN_READ_SECONDS: count(60),
  /** Records looked at in one query while a service gets its events back. */
  REPLAY_SPAN: count(5_000),
  /** Records of an export that are opened and written at once, and records or index entries that one query of it looks at. */
  EXPORT_BATCH: count(500),
  EXPORT_SPAN: count(2_000),
  /** Exports that run at a time; one more is told to come back. */
  EXPORT_CONCURRENCY: count(4),
  /** Pages of whole records read side by side, and calls that may wait for their turn; one more is told to come back. */
  LIST_CONCURRENCY: count(8),
  LIST_WAITING: count(500),
  /** Records read and opened at once while a state is folded. */
  HISTORY_BATCH: count(500),
  /** Histories read side by side, and calls that may wait for their turn; one more is told to come back. */
  HISTORY_CONCURRENCY: count(4),
  HISTORY_WAITING: count(100),
  /** Bytes of a state, or of the values of a diff, beyond which it is `too_large`; below what a gRPC message may have. */
  HISTORY_ANSWER_BYTES: count(3_000_000),
  /** Records that one page of a search for values looks at. */
  FIND_VALUES_RECORDS: count(10_000),
  /** Seconds between comparisons of what has changed with the services, and between those of everything. */
  RECONCILE_EVERY_SECONDS: seconds(60),
  RECONCILE_FULL_EVERY_SECONDS: seconds(3_600),
  /** Seconds for which an event that was published is on its way, and no finding. */
  RECONCILE_GRACE_SECONDS: seconds(30),
  /** Most findings that one comparison with a service opens; the next one goes on. */
  RECONCILE_FINDINGS: count(10_000),
  /** The Elasticsearch that the collector writes to: one address, or several of one cluster with commas between. Without it traces cannot be read. */
  ELASTICSEARCH_URL: z.string().min(1).optional(),
  ELASTICSEARCH_API_KEY: z.string().min(1).optional(),
  ELASTICSEARCH_USERNAME: z.string().min(1).optional(),
  ELASTICSEARCH_PASSWORD: z.string().min(1).optional(),
  ELASTICSEARCH_CA_FILE: z.string().min(1).optional(),
  /** The data streams that spans are in. */
  TRACES_INDEX: z.string().min(1).default('biz-traces-*'),
  /** Spans of one answer at most, and milliseconds for the store to answer in. */
  TRACE_SPANS: z.coerce.number().int().positive().max(5_000).default(2_000),
  TRACE_TIMEOUT_MS: count(5_000),
  /** Seconds for which a verification waits for a consumer to finish what stands beyond the end of a log. */
  VERIFICATION_SETTLE_SECONDS: seconds(60),
  /** Seconds of silence after which the process of a verification is taken for dead. */
  VERIFICATION_STALE_SECONDS: seconds(60),
};

/** Names of all settings: `withSecrets` reads those that stand in the secret manager. */
export const settingNames: readonly string[] = Object.keys(shape);

/** The only reader of the environment. Throws one Error that names every fault. */
export function auditConfig(env: NodeJS.ProcessEnv = process.env) {
  return readConfig(shape, env);
}

export type AuditConfig = ReturnType<typeof auditConfig>;
