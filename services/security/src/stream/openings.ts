import { AppError } from '@biz/errors';

export interface OpeningLimits {
  readonly perSubject: number;
  readonly all: number;
}

/** Counts the open streams of this process. */
export interface Openings {
  /** AppError `rate_limited` when the subject has too many open, `unavailable` when the process has. Disposing the answer counts it as closed. */
  open(subject: string): Disposable;
}

export function createOpenings({ perSubject, all }: OpeningLimits): Openings {
  const open = new Map<string, number>();
  let total = 0;
  return {
    open(subject) {
      const own = open.get(subject) ?? 0;
      if (own >= perSubject) {
        throw new AppError('rate_limited', `You have ${own} streams open; close one of them.`, { retryAfterSeconds: 30 });
      }
      if (total >= all) throw new AppError('unavailable', 'Too many streams are open; try again in a moment.');
      open.set(subject, own + 1);
      total += 1;
      let closed = false;
      return {
        [Symbol.dispose]() {
          if (closed) return;
          closed = true;
          total -= 1;
          const left = (open.get(subject) ?? 1) - 1;
          if (left > 0) open.set(subject, left);
          else open.delete(subject);
        },
      };
    },
  };
}
