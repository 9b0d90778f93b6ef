import { AppError } from '@biz/errors';
import { loadContract } from '@biz/protos';
import { SpanKind, SpanStatusCode, traced } from '@biz/telemetry';
import { type TestSpan, type TestTelemetry, testTelemetry, testTls, until } from '@biz/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CallContext, createRpcClient, createRpcServer, type Handler, type RpcClient, type RpcServer } from './index.ts';

const contract = loadContract();
const service = 'biz.cost_center.v1.CostCenterService';
const log = { error: () => {}, info: () => {}, debug: () => {} };
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const context: CallContext = {
  actor: { id: 'u-1', type: 'user' },
  role: 'manager',
  roles: ['manager'],
  company_id: 'c-1',
  companies: ['c-1'],
  clients: [],
  ip: '203.0.113.9',
  traceparent: `00-${traceId}-00f067aa0ba902b7-01`,
  trace_id: traceId,
  request_id: 'r-1',
};
const id = '01890000-0000-7000-8000-000000000000';
const newOne = { code: 'A-1', name: 'Loja' };

let seen: CallContext | undefined;
const handlers: Record<string, Handler> = Object.fromEntries(contract.service(service).methods.map(({ name }) => [name, async () => ({})]));
handlers.CreateCostCenter = async (_, call) => {
  seen = call.context;
  return traced('work', {}, async () => ({ id, version: 1 }));
};
handlers.GetCostCenter = async () => {
  throw new AppError('not_found', 'No cost centre of Zuleica.');
};
handlers.DeleteCostCenter = async () => {
  throw new Error('password=hunter2');
};

let tls: Awaited<ReturnType<typeof testTls>>;
let server: RpcServer;
let client: RpcClient;
let telemetry: TestTelemetry;

beforeAll(async () => {
  tls = await testTls(['cost-center', 'gateway']);
  server = await createRpcServer({ contract, services: [service], handlers, listen: '127.0.0.1:0', tls: tls.tls('cost-center'), log });
  client = createRpcClient({ contract, service, address: server.address, tls: tls.tls('gateway') });
});
afterAll(async () => {
  client[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
  await tls[Symbol.asyncDispose]();
});

/** Both ends are in this process: the spans of one call, once the server's has ended too. */
async function spansOf(method: string): Promise<{ asked: TestSpan; served: TestSpan }> {
  const find = (kind: SpanKind) => telemetry.spans().find((span) => span.name === `${service}/${method}` && span.kind === kind);
  await until(() => find(SpanKind.CLIENT) !== undefined && find(SpanKind.SERVER) !== undefined, { what: 'both spans' });
  return { asked: find(SpanKind.CLIENT) as TestSpan, served: find(SpanKind.SERVER) as TestSpan };
}

describe('with telemetry on', () => {
  beforeEach(async () => {
    telemetry = await testTelemetry();
  });
  afterEach(() => telemetry[Symbol.asyncDispose]());

  it('a call is a span of the caller and one of the service below it, in the trace of the context', async () => {
    await client.call('CreateCostCenter', newOne, context);
    const { asked, served } = await spansOf('CreateCostCenter');
    const work = telemetry.spans().find(({ name }) => name === 'work');
    expect([asked, served, work].map((span) => span?.spanContext().traceId)).toEqual([traceId, traceId, traceId]);
    expect(asked.parentSpanContext?.spanId).toBe('00f067aa0ba902b7');
    expect(served.parentSpanContext?.spanId).toBe(asked.spanContext().spanId);
    expect(work?.parentSpanContext?.spanId).toBe(served.spanContext().spanId);
    expect(seen).toEqual({ ...context, traceparent: `00-${traceId}-${served.spanContext().spanId}-01` });
    expect(served.attributes).toEqual({ 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': 'CreateCostCenter' });
  });

  it('the active span is the parent when it is of the same trace, and not when the call is in the name of another', async () => {
    await traced('here', { parent: context.traceparent }, () => client.call('CreateCostCenter', newOne, context));
    const { asked } = await spansOf('CreateCostCenter');
    expect(asked.parentSpanContext?.spanId).toBe(
      telemetry
        .spans()
        .find(({ name }) => name === 'here')
        ?.spanContext().spanId,
    );
    telemetry.reset();
    await traced('batch', {}, () => client.call('CreateCostCenter', newOne, context));
    const other = await spansOf('CreateCostCenter');
    expect(other.asked.spanContext().traceId).toBe(traceId);
    expect(other.asked.parentSpanContext?.spanId).toBe('00f067aa0ba902b7');
  });

  it('what the caller did wrong is told by code and fails no span; what is ours does; no text is noted', async () => {
    await expect(client.call('GetCostCenter', { id }, context)).rejects.toMatchObject({ code: 'not_found' });
    const refused = await spansOf('GetCostCenter');
    await expect(client.call('DeleteCostCenter', { id, if_match: 1 }, context)).rejects.toMatchObject({ code: 'internal' });
    const failed = await spansOf('DeleteCostCenter');
    for (const span of [refused.asked, refused.served]) {
      expect(span.attributes).toMatchObject({ 'error.type': 'not_found', 'rpc.grpc.status_code': 5 });
      expect(span.status.code).toBe(SpanStatusCode.UNSET);
    }
    for (const span of [failed.asked, failed.served]) {
      expect(span.attributes).toMatchObject({ 'error.type': 'internal', 'rpc.grpc.status_code': 13 });
      expect(span.status).toEqual({ code: SpanStatusCode.ERROR });
    }
    const told = JSON.stringify(telemetry.spans().map(({ attributes, events, status }) => ({ attributes, events, status })));
    expect(told).not.toMatch(/Zuleica|hunter2|203\.0\.113/);
  });

  it('every call is counted with its duration, by method and outcome', async () => {
    await client.call('CreateCostCenter', newOne, context);
    await client.call('GetCostCenter', { id }, context).catch(() => undefined);
    await spansOf('GetCostCenter');
    const points = (await telemetry.collect()).get('rpc.server.duration') ?? [];
    expect(points.map(({ attributes, value }) => [attributes, (value as { count: number }).count])).toEqual([
      [{ 'rpc.service': service, 'rpc.method': 'CreateCostCenter', 'rpc.grpc.status_code': 0 }, 1],
      [{ 'rpc.service': service, 'rpc.method': 'GetCostCenter', 'rpc.grpc.status_code': 5, 'error.type': 'not_found' }, 1],
    ]);
  });
});

it('without telemetry the context arrives as it was sent', async () => {
  await client.call('CreateCostCenter', newOne, context);
  expect(seen).toEqual(context);
});
