import type { AppError } from '@biz/errors';
import { loadContract } from '@biz/protos';
import { describe, expect, it } from 'vitest';
import { assertMay, assertOwnClient } from './access.ts';
import { asksOf, type CallerKind, callerKinds, outcomeOf } from './access-table.ts';
import { type CallContext, everyCompany } from './context.ts';

const methods = loadContract().services.flatMap((service) => service.methods);

function contextOf({ type, roles, companies, clients }: CallerKind, over: Partial<CallContext> = {}): CallContext {
  const [only = null] = companies;
  return {
    ...{ actor: { id: 'someone', type }, role: roles[0] ?? 'none', roles, companies, clients },
    company_id: companies.length === 1 && only !== everyCompany ? only : null,
    ...{ ip: '203.0.113.9', traceparent: '', trace_id: '', request_id: 'r-1' },
    ...over,
  };
}

function codeOf(check: () => void): string {
  try {
    check();
    return 'yes';
  } catch (error) {
    return (error as AppError).code;
  }
}

describe('the table', () => {
  it.each(callerKinds.map((caller) => [caller.name, caller] as const))('says what is decided, for every method: %s', (_, caller) => {
    const decided = methods.map((method) => [method.path, codeOf(() => assertMay(method, contextOf(caller)))]);
    expect(decided).toEqual(methods.map((method) => [method.path, outcomeOf(asksOf(method), caller)]));
  });

  it('lets nobody but services call what names no role', () => {
    const closed = methods.filter((method) => method.rules.roles.length === 0);
    expect(closed.length).toBeGreaterThan(0);
    expect(closed.filter(({ http }) => http)).toEqual([]);
    for (const caller of callerKinds.filter(({ type }) => type === 'user')) {
      expect(new Set(closed.map((method) => outcomeOf(asksOf(method), caller)))).toEqual(new Set(['no_role']));
    }
  });
});

describe('companies and clients', () => {
  const [method] = methods.filter(({ name }) => name === 'GetCostCenter');
  const [admin] = callerKinds;
  if (!method || !admin) throw new Error('The contract or the table lacks what the test is about.');

  it('a company that is none of the caller’s is refused, whoever passed it on', () => {
    expect(codeOf(() => assertMay(method, contextOf(admin, { company_id: 'b' })))).toBe('wrong_company');
    expect(codeOf(() => assertMay(method, contextOf(admin, { company_id: 'b', companies: [everyCompany] })))).toBe('yes');
  });

  it('a client that the request names is one of the caller’s, when the caller is bound to any', () => {
    const bound = contextOf(admin, { clients: ['x', 'y'] });
    expect(codeOf(() => assertOwnClient({ client_id: 'z' }, bound))).toBe('wrong_client');
    expect(codeOf(() => assertOwnClient({ client_id: 'y' }, bound))).toBe('yes');
    expect(codeOf(() => assertOwnClient({}, bound))).toBe('yes');
    expect(codeOf(() => assertOwnClient({ client_id: 'z' }, contextOf(admin)))).toBe('yes');
  });
});
