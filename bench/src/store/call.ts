import { loadContract } from '@biz/protos';
import type { Call, CallContext } from '@biz/rpc';

/** A call as the audit service gets it from the gateway, of a data-protection officer: of one company, or of the platform (every company). */
export function callOf(service: string, method: string, company: string | null): Call {
  const context: CallContext = {
    actor: { id: 'u-bench', type: 'user' },
    role: 'dpo',
    roles: ['dpo', 'auditor'],
    company_id: company,
    companies: [company ?? '*'],
    clients: [],
    ip: '203.0.113.1',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    request_id: 'bench',
  };
  const model = contract.service(`biz.audit.v1.${service}`).methods.find(({ name }) => name === method);
  if (model === undefined) throw new Error(`there is no method ${method}`);
  return { context, method: model, peer: 'gateway', signal: new AbortController().signal, deadline: new Date(Date.now() + 3_600_000) };
}

export const contract = loadContract();
