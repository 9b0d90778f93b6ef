import { readFileSync } from 'node:fs';
import { AppError } from '@biz/errors';
import { loadContract } from '@biz/protos';
import { testTls } from '@biz/testing';
import { Client, credentials, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contextMetadata } from './context.ts';
import { type CallContext, createRpcClient, createRpcServer, type Handler, type RpcClient, type RpcServer } from './index.ts';

const contract = loadContract();
const service = 'biz.cost_center.v1.CostCenterService';
const log = { error: () => {}, info: () => {}, debug: () => {} };
const id = '01890000-0000-7000-8000-000000000000';

const context: CallContext = {
  actor: { id: 'u-1', type: 'user' },
  role: 'manager',
  roles: ['manager'],
  company_id: 'c-1',
  companies: ['c-1'],
  clients: [],
  ip: '203.0.113.9',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
  request_id: 'r-1',
};

const unused: Handler = async () => ({});
const handlers: Record<string, Handler> = Object.fromEntries(contract.service(service).methods.map((method) => [method.name, unused]));
handlers.CreateCostCenter = async (request, call) => ({
  ...request,
  id,
  version: 1,
  company_id: call.context.company_id,
  status: call.peer,
});
handlers.GetCostCenter = async () => {
  throw new AppError('unavailable', 'The database is away.', { retryAfterSeconds: 7 });
};
handlers.ListCostCenters = (_, call) =>
  new Promise((_resolve, reject) => {
    call.signal.addEventListener('abort', () => reject(call.signal.reason));
  });
handlers.DeleteCostCenter = async () => {
  throw new Error('password=hunter2');
};

let tls: Awaited<ReturnType<typeof testTls>>;
let server: RpcServer;
let client: RpcClient;

beforeAll(async () => {
  tls = await testTls(['cost-center', 'gateway', 'stranger', 'team']);
  server = await createRpcServer({
    contract,
    services: [service],
    handlers,
    listen: '127.0.0.1:0',
    tls: tls.tls('cost-center'),
    allowedPeers: ['gateway'],
    log,
    reflection: true,
  });
  client = createRpcClient({ contract, service, address: server.address, tls: tls.tls('gateway') });
});

afterAll(async () => {
  client[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
  await tls[Symbol.asyncDispose]();
});

/** A length as protobuf writes it. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => Promise.reject(new Error('answered')),
    (error: AppError) => error,
  );

describe('a call', () => {
  it('reaches the handler with its context and peer', async () => {
    const answer = await client.call('CreateCostCenter', { code: 'A', name: 'Loja', budget_cents: 9007199254740991 }, context);
    expect(answer).toEqual({
      code: 'A',
      name: 'Loja',
      budget_cents: 9007199254740991,
      id,
      version: 1,
      company_id: 'c-1',
      status: 'gateway',
    });
  });

  it('is checked against the rules of the proto', async () => {
    const error = await failure(client.call('CreateCostCenter', { name: 'x' }, context));
    expect(error).toMatchObject({ code: 'invalid_request', faults: [{ path: '/code', message: 'is required' }] });
  });

  it('cuts long lists of faults so that the status fits its trailers', async () => {
    const paths = Array.from({ length: 50 }, (_, index) => `x${index}`.repeat(40));
    const error = await failure(client.call('UpdateCostCenter', { id, expected_version: 1, update_mask: { paths } }, context));
    expect(error.code).toBe('invalid_request');
    expect(error.faults.length).toBeGreaterThan(5);
  });

  it.each([
    ['no role', { ...context, roles: ['auditor'] }, 'no_role'],
    ['no company', { ...context, company_id: null, companies: [] }, 'no_company'],
    ['no choice among companies', { ...context, company_id: null, companies: ['c-1', 'c-2'] }, 'company_required'],
    ['a context of another form', { ...context, actor: 'me' as never }, 'token_invalid'],
  ])('is refused with %s', async (_, bad, code) => {
    expect((await failure(client.call('CreateCostCenter', { code: 'A', name: 'B' }, bad))).code).toBe(code);
  });

  it('tells errors with their code and when to come back, and nothing of unknown ones', async () => {
    expect(await failure(client.call('GetCostCenter', { id }, context))).toMatchObject({
      code: 'unavailable',
      message: 'The database is away.',
      retryAfterSeconds: 7,
    });
    const unknown = await failure(client.call('DeleteCostCenter', { id }, context));
    expect(unknown.code).toBe('internal');
    expect(unknown.message).not.toContain('hunter2');
  });

  it('ends at its deadline, or when the caller goes away', async () => {
    expect((await failure(client.call('ListCostCenters', {}, context, { deadline: new Date(Date.now() + 100) }))).code).toBe('timeout');
    const controller = new AbortController();
    const call = client.call('ListCostCenters', {}, context, { signal: controller.signal });
    controller.abort();
    expect((await failure(call)).code).toBe('cancelled');
  });

  it('refuses a message larger than the limit', async () => {
    expect((await failure(client.call('CreateCostCenter', { code: 'A', name: 'x'.repeat(5 * 1024 * 1024) }, context))).code).toBe(
      'too_large',
    );
  });

  it.each([
    ['5 MiB', {}],
    ['5 KiB that become 5 MiB (gzip)', { 'grpc.default_compression_algorithm': 2 }],
  ])('of %s is refused by the server too, whatever the client allows itself: RESOURCE_EXHAUSTED', async (_, options) => {
    const { caFile, certFile, keyFile } = tls.tls('gateway');
    const identity = credentials.createSsl(readFileSync(caFile), readFileSync(keyFile), readFileSync(certFile));
    const lax = new Client(server.address, identity, {
      'grpc.ssl_target_name_override': 'cost-center',
      'grpc.max_send_message_length': -1,
      ...options,
    });
    const big = (bytes: number) => Buffer.concat([Buffer.from([0x12, ...varint(bytes)]), Buffer.alloc(bytes, 0x78)]); // field 2, a string
    const ask = (bytes: number) =>
      new Promise<number>((resolve) => {
        const metadata = contextMetadata(context);
        lax.makeUnaryRequest(
          `/${service}/CreateCostCenter`,
          big,
          (answer) => answer,
          bytes,
          metadata,
          (error) => resolve(error?.code ?? 0),
        );
      });
    expect(await ask(5 * 1024 * 1024)).toBe(status.RESOURCE_EXHAUSTED);
    expect(await ask(100)).toBe(status.INVALID_ARGUMENT); // the connection lives on; a code is missing
    lax.close();
  });
});

describe('the fleet’s certificates', () => {
  it('are needed: no certificate, no connection', async () => {
    const bare = new Client(server.address, credentials.createSsl(readFileSync(tls.caFile)));
    const connected = await new Promise((resolve) => bare.waitForReady(Date.now() + 1_000, (error) => resolve(!error)));
    bare.close();
    expect(connected).toBe(false);
  });

  it('say who calls: a process that is not allowed is refused', async () => {
    using stranger = createRpcClient({ contract, service, address: server.address, tls: tls.tls('stranger') });
    expect(await failure(stranger.call('CreateCostCenter', { code: 'A', name: 'B' }, context))).toMatchObject({ code: 'no_role' });
  });

  it('say who answers: another process’s certificate is not taken', async () => {
    await using wrong = await createRpcServer({
      contract,
      services: [service],
      handlers,
      listen: '127.0.0.1:0',
      tls: tls.tls('team'),
      log,
    });
    using caller = createRpcClient({ contract, service, address: wrong.address, tls: tls.tls('gateway') });
    expect((await failure(caller.call('CreateCostCenter', { code: 'A', name: 'B' }, context))).code).toBe('unavailable');
  });
});

describe('the health service', () => {
  it('follows what the process says', async () => {
    const check = () =>
      new Promise((resolve, reject) => {
        const health = new Client(server.address, credentials.createSsl(readFileSync(tls.caFile), ...keyPair('gateway')));
        health.makeUnaryRequest(
          '/grpc.health.v1.Health/Check',
          () => Buffer.alloc(0),
          (bytes) => bytes[1],
          {},
          (error, status) => {
            health.close();
            if (error) reject(error);
            else resolve(status);
          },
        );
      });
    expect(await check()).toBe(1);
    server.setServing(false);
    expect(await check()).toBe(2);
    server.setServing(true);
  });
});

function keyPair(name: string): [Buffer, Buffer] {
  const files = tls.tls(name);
  return [readFileSync(files.keyFile), readFileSync(files.certFile)];
}
