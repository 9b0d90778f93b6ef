import { loadContract } from '@biz/protos';
import { describe, expect, it } from 'vitest';
import { type CallContext, serviceContext } from './context.ts';
import { createRetries, isRepeatable, type RetryLimits } from './retry.ts';

const limits: RetryLimits = { attempts: 3, patienceMs: 1_000, reserve: 20, perAnswer: 1 };
const context = serviceContext('gateway', { traceparent: '', trace_id: '' });

describe('what may be made again though it may have been done', () => {
  const method = (path: string) => {
    const [service = '', name = ''] = path.split('/');
    const found = loadContract()
      .service(service)
      .methods.find((one) => one.name === name);
    if (!found) throw new Error(path);
    return found;
  };
  const keyed: CallContext = { ...context, idempotency_key: 'k' };

  it.each([
    ['a read', 'biz.cost_center.v1.CostCenterService/GetCostCenter', context, true],
    ['a write', 'biz.cost_center.v1.CostCenterService/CreateCostCenter', context, false],
    ['a write with an Idempotency-Key', 'biz.cost_center.v1.CostCenterService/CreateCostCenter', keyed, true],
    ['a write that keeps no key, whatever is sent', 'biz.audit.v1.IntegrityService/StartVerification', keyed, false],
  ])('%s', (_, path, whose, answer) => expect(isRepeatable(method(path), whose)).toBe(answer));
});

describe('a client that loses calls', () => {
  it('makes again what was not begun, and what can be repeated, at most so often', () => {
    const retries = createRetries(limits);
    expect(retries.pause('refused', 1, false)).toBeLessThan(50);
    expect(retries.pause('lost', 1, true)).toBeLessThan(50);
    expect(retries.pause('lost', 1, false)).toBeUndefined();
    expect(retries.pause('refused', 3, true)).toBeUndefined();
  });

  it('stops when half of the reserve is used up, until calls are answered again', () => {
    const retries = createRetries(limits);
    for (let count = 0; count < 10; count++) expect(retries.pause('lost', 1, true)).toBeDefined();
    expect(retries.pause('lost', 1, true)).toBeUndefined();
    retries.answered();
    expect(retries.pause('lost', 1, true)).toBeDefined();
    expect(retries.pause('lost', 1, true)).toBeUndefined();
  });

  it('waits while nobody can be reached, from the beginning of the outage on, and then fails at once', () => {
    let now = 0;
    const retries = createRetries(limits, () => now);
    expect(retries.pause('unreachable', 1, false)).toBeDefined();
    now = 999;
    expect(retries.pause('unreachable', 99, false)).toBeDefined();
    now = 1_000;
    expect(retries.pause('unreachable', 1, false)).toBeUndefined();
    retries.answered();
    expect(retries.pause('unreachable', 1, false)).toBeDefined();
  });
});
