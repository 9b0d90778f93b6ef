/** An answer serves those who ask within this time: the gauges of one collection, and two collections that come close. */
const FRESH_MS = 1_000;
/** Metrics that leave do not wait longer for an engine; without its answer a gauge has no value. */
const PATIENCE_MS = 2_000;

/**
 * One question that several gauges share: asked at most once a second and never twice at the same time, so that an engine that hangs is not
 * asked again and again. Rejects when the answer takes more than 2 s.
 */
export function askedOnce<T>(ask: () => Promise<T>): () => Promise<T> {
  let pending: Promise<T> | undefined;
  let known: { answer: T; at: number } | undefined;
  return async () => {
    if (known && performance.now() - known.at < FRESH_MS) return known.answer;
    pending ??= ask()
      .then((answer) => {
        known = { answer, at: performance.now() };
        return answer;
      })
      .finally(() => {
        pending = undefined;
      });
    return withinPatience(pending);
  };
}

async function withinPatience<T>(answer: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('no answer in time')), PATIENCE_MS).unref();
  try {
    return await Promise.race([answer, promise]);
  } finally {
    clearTimeout(timer);
  }
}
