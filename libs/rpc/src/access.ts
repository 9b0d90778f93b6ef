import { AppError } from '@biz/errors';
import type { MethodModel } from '@biz/protos';
import { type CallContext, spansCompanies } from './context.ts';

/**
 * Whether a caller may call a method, by the proto alone; the gateway asks before it calls, and every service again. Throws AppError
 * `no_role`, `no_company`, `wrong_company` or `company_required`. A service of the fleet that acts by itself is not asked for roles.
 */
export function assertMay(method: MethodModel, context: CallContext): void {
  if (context.actor.type === 'user') assertRole(method, context);
  if (spansCompanies(context)) return;
  if (context.companies.length === 0) throw new AppError('no_company', 'You belong to no company.');
  if (context.company_id !== null) assertOwnCompany(context.company_id, context);
  else if (!method.rules.any_company)
    throw new AppError('company_required', 'You belong to several companies: name one with X-Company-Id.');
}

function assertRole({ rules }: MethodModel, { roles, clients }: CallContext): void {
  if (!rules.roles.some((role) => roles.includes(role))) {
    throw new AppError(
      'no_role',
      rules.roles.length ? `This needs one of the roles ${rules.roles.join(', ')}.` : 'Only services of the fleet may call this.',
    );
  }
  if (clients.length > 0 && !rules.any_client) {
    throw new AppError('no_role', 'This is about the whole company, and your token is for some of its clients.');
  }
}

/** The gateway made sure of it; a service takes nobody's word for it. */
function assertOwnCompany(company: string, { companies }: CallContext): void {
  if (!companies.includes(company)) throw new AppError('wrong_company', 'The call is about a company that is not yours.');
}

/**
 * Whether a client that the request itself names is one of the caller's. Throws AppError `wrong_client`: who names it knows it already, so
 * that nothing is given away. An entity of another client is looked for in vain instead (see libs/resource).
 */
export function assertOwnClient(request: object, { clients }: CallContext): void {
  const named = (request as { client_id?: unknown }).client_id;
  if (typeof named !== 'string' || named === '' || clients.length === 0 || clients.includes(named)) return;
  throw new AppError('wrong_client', 'The request names a client that is not yours.');
}

/** The role that a call is recorded under: the first of the method's roles that the caller has. */
export function actingRole(method: MethodModel, roles: readonly string[]): string {
  return method.rules.roles.find((role) => roles.includes(role)) ?? roles[0] ?? 'none';
}
