import { z } from 'zod';

const count = (fallback: number) => z.coerce.number().int().positive().default(fallback);

/** Settings of the stream; README.md tells of each. */
export const streamShape = {
  /** How long a client may be away and go on where it was. */
  STREAM_KEEP_HOURS: count(48),
  /** How often the database is asked for what other instances took. */
  STREAM_POLL_MS: count(500),
  STREAM_HEARTBEAT_SECONDS: count(15),
  /** A stream ends after this, and the client connects again. */
  STREAM_MAX_SECONDS: count(900),
  /** Open streams of one person, and of all, in one process. */
  STREAMS_PER_SUBJECT: count(5),
  STREAMS_MAX: count(300),
  /** Events kept in memory for those who follow; who is further behind reads the database. */
  STREAM_KEPT_EVENTS: count(1_000),
};

export type StreamConfig = z.output<z.ZodObject<typeof streamShape>>;
