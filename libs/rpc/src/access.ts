import { AppError } from '@biz/errors';
import type { MethodModel } from '@biz/protos';
import { type CallContext, spansCompanies } from './context.ts';

/**
 * Whether a caller may call a method, by the proto alone; the gateway asks before it calls, and every service again. Throws AppError
 * `no_role`, `no_company` or `company_required`. A service of the fleet that acts by itself is not asked for roles.
 */
export function assertMay(method: MethodModel, context: CallContext): void {
  if (context.actor.type === 'user' && !method.rules.roles.some((role) => context.roles.includes(role))) {
    throw new AppError(
      'no_role',
      method.rules.roles.length
        ? `This needs one of the roles ${method.rules.roles.join(', ')}.`
        : 'Only services of the fleet may call this.',
    );
  }
  if (context.company_id !== null || spansCompanies(context)) return;
  if (context.companies.length === 0) throw new AppError('no_company', 'You belong to no company.');
  if (!method.rules.any_company) throw new AppError('company_required', 'You belong to several companies: name one with X-Company-Id.');
}

/** The role that a call is recorded under: the first of the method's roles that the caller has. */
export function actingRole(method: MethodModel, roles: readonly string[]): string {
  return method.rules.roles.find((role) => roles.includes(role)) ?? roles[0] ?? 'none';
}
