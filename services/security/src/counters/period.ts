import { AppError } from '@biz/errors';

export const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;

/** A period, checked: it has a length, of at most `longestMs`. AppError `invalid_request` otherwise. */
export function periodOf({ from, to }: { from: string; to: string }, longestMs: number): { from: Date; to: Date } {
  const period = { from: new Date(from), to: new Date(to) };
  const length = period.to.getTime() - period.from.getTime();
  if (length > 0 && length <= longestMs) return period;
  const message = length > 0 ? `must be at most ${longestMs / dayMs} days after from` : 'must be after from';
  throw new AppError('invalid_request', 'The request does not fit the contract.', { faults: [{ path: '/to', message }] });
}
