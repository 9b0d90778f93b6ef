import { AppError } from '@biz/errors';
import { type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import type { Loss } from './retry.ts';

/** Trailer by which a server says that what it answers is no answer of the service: the call was not begun, or given up because it stops. */
const lossKey = 'biz-call-loss';

/** Why calls are turned away and given up by a server that stops. */
export const stopping = new AppError('unavailable', 'The service is stopping; try again in a moment.');

/** The status of a call that a server did not begin, or gave up. */
export function markLoss(answer: StatusObject, loss: Exclude<Loss, 'unreachable'>): StatusObject {
  answer.metadata.set(lossKey, loss);
  return answer;
}

/**
 * How a call was lost; undefined when a service answered. `connected`: it was given to a connection. `cancelled`: by ourselves. Codes and texts
 * are those of grpc-js for connections that break: a reset is told as UNAVAILABLE, CANCELLED or INTERNAL, by what of it was seen first.
 */
export function lossOf(error: ServiceError, { connected, cancelled }: { connected: boolean; cancelled: boolean }): Loss | undefined {
  if (cancelled) return undefined;
  const [told] = error.metadata?.get(lossKey) ?? [];
  if (told === 'refused' || told === 'lost') return told;
  if (error.metadata?.get('grpc-status-details-bin').length) return undefined;
  const broken =
    error.code === status.UNAVAILABLE ||
    error.code === status.CANCELLED ||
    (error.code === status.INTERNAL && error.details.startsWith('Received RST_STREAM'));
  if (!broken) return undefined;
  return connected ? 'lost' : 'unreachable';
}
