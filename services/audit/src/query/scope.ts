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

/** The filter of callers who are bound to clients: what belongs to none is the company's own. Empty for all others, whose filters it leaves as they are. */
export function boundTo({ clients }: CallContext): { clients?: readonly string[] } {
  return clients.length > 0 ? { clients } : {};
}

/** Which sealed parts of a record a caller sees opened. */
export type Opening = { readonly payload: boolean; readonly owner_ip: boolean };

/** The data-protection officer opens everything (LGPD art. 41); an auditor only from where something was done. */
export function openingFor(context: CallContext): Opening {
  const payload = context.roles.includes('dpo');
  return { payload, owner_ip: payload || context.roles.includes('auditor') };
}
