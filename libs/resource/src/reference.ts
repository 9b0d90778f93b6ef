import { AppError } from '@biz/errors';
import type { CallContext, RpcClient } from '@biz/rpc';

/** What a reference to another service's entity leads to, as this caller sees it; undefined when nothing is referred to. */
export type Reference = 'active' | 'disabled' | 'missing' | undefined;

/**
 * Asks the owning service by its Get method, with the caller's own context, so that another company's entity is as missing as one that
 * never was. Errors but `not_found` go on: a service that is away must not let a bad reference in.
 */
export async function resolveReference(
  client: RpcClient,
  method: string,
  id: string | null | undefined,
  context: CallContext,
): Promise<Reference> {
  if (id === null || id === undefined) return undefined;
  try {
    const { status } = await client.call<{ status: string }>(method, { id }, context);
    return status === 'active' ? 'active' : 'disabled';
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_found') return 'missing';
    throw error;
  }
}

/** Refuses a new reference to what is missing or disabled; throws AppError `invalid_request` with the field's path. */
export function assertReference(reference: Reference, path: string): void {
  if (reference === undefined || reference === 'active') return;
  const message = reference === 'missing' ? 'does not exist' : 'is disabled';
  throw new AppError('invalid_request', 'The request refers to what cannot be referred to.', { faults: [{ path, message }] });
}

/** The value that a create or an update gives to a field; undefined when it leaves it alone. */
export function newValue(command: object, field: string): string | null | undefined {
  const { fields, patch } = command as { fields?: Record<string, unknown>; patch?: Record<string, unknown> };
  const value = fields?.[field] ?? patch?.[field];
  return typeof value === 'string' || value === null ? value : undefined;
}
