import { AppError } from '@biz/errors';
import type { Call, Handler } from '@biz/rpc';
import { scopeOf } from '../query/scope.ts';
import { presentVerification } from '../verify/present.ts';
import type { RpcParts } from './parts.ts';

/**
 * Verifications, of IntegrityService. They are about the logs of all companies, so an auditor of any may start one and sees which place is bad;
 * what a record says is in none of it.
 */
export function verificationHandlers({ verifications }: Pick<RpcParts, 'verifications'>): Record<string, Handler> {
  return {
    StartVerification: async (_: object, { context }: Call) =>
      presentVerification(await verifications.start(context.actor.id), scopeOf(context)),
    GetVerification: async ({ id }: { id: string }, { context }: Call) => {
      const found = await verifications.get(id);
      if (found === null) throw new AppError('not_found', 'There is no such verification.');
      return presentVerification(found, scopeOf(context));
    },
  };
}
