import { type CallContext, spansCompanies } from '@biz/rpc';

/** Companies whose data a call sees: the chosen one, else the caller's own; `all` for people of the platform, with what belongs to no company. */
export type Scope = 'all' | readonly string[];

export function scopeOf(context: CallContext): Scope {
  if (context.company_id !== null) {
    return [context.company_id];
  }
  return spansCompanies(context) ? 'all' : context.companies;
}

/** A scope narrowed to one company; a company outside it leaves nothing, as if it did not exist. */
export function narrow(scope: Scope, companyId: string | undefined): Scope {
  if (!companyId) {
    return scope;
  }
  return scope === 'all' || scope.includes(companyId) ? [companyId] : [];
}

/** Whether the caller may open personal values: the data protection officer (LGPD art. 41). */
export function mayOpen(context: CallContext): boolean {
  return context.roles.includes('dpo');
}
