import { z } from 'zod';

/** A count in one window; 0 is no limit. */
const count = (fallback: number) => z.coerce.number().int().min(0).max(2_147_483_647).default(fallback);

/** Settings of the limits on how much may be asked for. */
export const limitsShape = {
  /** The window that requests are counted in, in seconds. */
  RATE_LIMIT_WINDOW_SECONDS: z.coerce.number().int().min(1).max(3_600).default(10),
  /** Requests of one address in a window, before anything is known of the caller. */
  RATE_LIMIT_ADDRESS: count(3_000),
  /** Requests of one address to the login routes in a window. */
  RATE_LIMIT_LOGIN: count(100),
  /** Requests of one person or client in a window, wherever from. */
  RATE_LIMIT_SUBJECT: count(1_000),
  /** Requests for one company in a window, by everyone. */
  RATE_LIMIT_COMPANY: count(5_000),
  /** Counters of each kind that one gateway remembers; the least used is forgotten first. */
  RATE_LIMIT_COUNTERS: z.coerce.number().int().min(100).max(10_000_000).default(50_000),
  /** Redis or Valkey (`redis://` or `rediss://`) where all gateways count together; without it each counts alone. */
  RATE_LIMIT_REDIS_URL: z.url({ protocol: /^rediss?$/, hostname: /./ }).optional(),
  /** Patience with one count there, in milliseconds. */
  RATE_LIMIT_REDIS_TIMEOUT_MS: z.coerce.number().int().min(1).max(5_000).default(100),
  /** Mean delay of the event loop in the last second that is too much, in milliseconds; 0 is no limit. */
  PRESSURE_EVENT_LOOP_DELAY_MS: count(1_000),
  /** Share of the last second that the event loop was at work that is too much; 0 is no limit. */
  PRESSURE_EVENT_LOOP_UTILIZATION: z.coerce.number().min(0).max(1).default(0),
  /** Share of the heap that V8 may have at most that is too much; 0 is no limit. */
  PRESSURE_HEAP_SHARE: z.coerce.number().min(0).max(1).default(0.9),
};

const settings = z.object(limitsShape);
export type LimitSettings = z.output<typeof settings>;
