import { AppError } from '@biz/errors';

/** Seconds after which one more may be asked for again. */
const RETRY_SECONDS = 30;

/**
 * Lets so many streams run at a time, each from its first message to its end; one more is `rate_limited`. An export is work for the whole
 * time that it takes, in the process that takes records in.
 */
export function atMost<Args extends unknown[], Message>(
  limit: number,
  stream: (...args: Args) => AsyncIterable<Message>,
): (...args: Args) => AsyncGenerator<Message> {
  let running = 0;
  return async function* (...args) {
    if (running >= limit) {
      throw new AppError('rate_limited', 'So many exports at once are not made; try again later.', { retryAfterSeconds: RETRY_SECONDS });
    }
    running += 1;
    try {
      yield* stream(...args);
    } finally {
      running -= 1;
    }
  };
}
