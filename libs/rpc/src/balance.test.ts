// Several servers of one service: real ones, over mutual TLS, and a wire in between that can be cut.
import { connect, createServer, type Socket } from 'node:net';
import { AppError } from '@biz/errors';
import { loadContract } from '@biz/protos';
import { testTelemetry, testTls, until } from '@biz/testing';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import {
  addressesIn,
  type CallContext,
  createRpcClient,
  createRpcServer,
  type Handler,
  type Retry,
  type RpcClient,
  type RpcServer,
  serviceContext,
  targetOf,
} from './index.ts';

const contract = loadContract();
const service = 'biz.cost_center.v1.CostCenterService';
const log = { error: () => {}, info: () => {}, debug: () => {} };
const id = '01890000-0000-7000-8000-000000000000';
const context: CallContext = {
  ...serviceContext('gateway', { traceparent: '', trace_id: 'f'.repeat(32) }),
  roles: ['manager'],
  company_id: 'c-1',
};

let tls: Awaited<ReturnType<typeof testTls>>;
const opened: (Disposable | AsyncDisposable)[] = [];

beforeAll(async () => {
  tls = await testTls(['cost-center', 'gateway']);
});
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) {
    if (Symbol.asyncDispose in one) await one[Symbol.asyncDispose]();
    else one[Symbol.dispose]();
  }
});
afterAll(() => tls[Symbol.asyncDispose]());

const keep = <T extends Disposable | AsyncDisposable>(one: T): T => {
  opened.push(one);
  return one;
};

async function serve(over: Readonly<Record<string, Handler>> = {}, listen = '127.0.0.1:0'): Promise<RpcServer> {
  const none: Handler = async () => ({});
  const names = contract.service(service).methods.map(({ name }) => name);
  const handlers = { ...Object.fromEntries(names.map((name) => [name, none])), ...over };
  return keep(await createRpcServer({ contract, services: [service], handlers, listen, tls: tls.tls('cost-center'), log }));
}

function clientOf(addresses: readonly string[], retries: Retry[] = []): RpcClient {
  const onRetry = (retry: Retry) => void retries.push(retry);
  return keep(createRpcClient({ contract, service, address: addresses.join('|'), tls: tls.tls('gateway'), onRetry }));
}

const create = (client: RpcClient, code: string, whose = context) =>
  client.call<{ name: string }>('CreateCostCenter', { code, name: 'Loja' }, whose);
const failure = (promise: Promise<unknown>): Promise<AppError> =>
  promise.then(
    () => Promise.reject(new Error('answered')),
    (error: AppError) => error,
  );

/** A wire to a server: `cut` breaks every connection on it, as a killed process does. */
async function wireTo(address: string): Promise<{ address: string; cut: () => void }> {
  const [host = '', port = ''] = address.split(':');
  const sockets = new Set<Socket>();
  const wire = createServer((inward) => {
    const outward = connect(Number(port), host);
    for (const [one, other] of [
      [inward, outward],
      [outward, inward],
    ] as const) {
      sockets.add(one);
      one.on('error', () => {}).on('close', () => other.destroy());
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => wire.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
    sockets.clear();
  };
  keep({
    [Symbol.dispose]: () => {
      cut();
      wire.close();
    },
  });
  const bound = wire.address();
  if (bound === null || typeof bound === 'string') throw new Error('the wire has no port');
  return { address: `127.0.0.1:${bound.port}`, cut };
}

it('reads addresses of instances; names and other targets count as they are', () => {
  expect(addressesIn('127.0.0.1:1|127.0.0.1:2')).toEqual(['127.0.0.1:1', '127.0.0.1:2']);
  expect(targetOf('127.0.0.1:1|127.0.0.1:2')).toBe('ipv4:127.0.0.1:1,127.0.0.1:2');
  expect(targetOf('team:1')).toBe('team:1');
  expect(targetOf('dns:///team:1')).toBe('dns:///team:1');
});

it.each(['127.0.0.1', 'localhost'])('calls take turns between the instances at %s', async (host) => {
  const servers = await Promise.all(['one', 'two'].map((name) => serve({ CreateCostCenter: async () => ({ name }) })));
  const client = clientOf(servers.map(({ address }) => address.replace('127.0.0.1', host)));
  const seen = new Set<string>();
  await until(async () => seen.add((await create(client, 'A')).name).size === 2, { what: 'an answer of each' });
});

it('an instance that stops under load loses nothing: each call is done once, there or on the other', async () => {
  const done: string[] = [];
  const CreateCostCenter: Handler = async ({ code }) => {
    await new Promise((resolve) => setTimeout(resolve, 3));
    done.push(code);
    return {};
  };
  const servers = await Promise.all([serve({ CreateCostCenter }), serve({ CreateCostCenter })]);
  const client = clientOf(servers.map(({ address }) => address));
  const answered: string[] = [];
  let going = true;
  const load = Promise.all(
    Array.from({ length: 16 }, async (_, worker) => {
      for (let turn = 0; going; turn++) {
        await create(client, `C-${worker}-${turn}`);
        answered.push(`C-${worker}-${turn}`);
      }
    }),
  );
  for (let round = 0; round < 6; round++) {
    const stopped = servers[round % 2];
    if (!stopped) throw new Error('no server');
    const before = answered.length;
    await until(() => answered.length > before + 50, { what: 'calls' });
    await stopped[Symbol.asyncDispose]();
    servers[round % 2] = await serve({ CreateCostCenter }, stopped.address);
  }
  going = false;
  await load;
  expect(done.toSorted()).toEqual(answered.toSorted());
});

it('a connection that breaks: a read is made again elsewhere, a write only with an Idempotency-Key', async () => {
  let cut = () => {};
  const hang: Handler = (_, call) => {
    cut();
    return new Promise((_resolve, reject) => call.signal.addEventListener('abort', () => reject(call.signal.reason)));
  };
  const good: Handler = async () => ({ name: 'here' });
  const wire = await wireTo((await serve({ GetCostCenter: hang, CreateCostCenter: hang })).address);
  const other = await serve({ GetCostCenter: good, CreateCostCenter: good });
  cut = wire.cut;
  await using telemetry = await testTelemetry();
  const retries: Retry[] = [];
  const client = clientOf([wire.address, other.address], retries);
  const lost = () => retries.filter(({ loss }) => loss === 'lost').length;

  await until(
    async () => {
      expect(await client.call('GetCostCenter', { id }, context)).toEqual({ name: 'here' });
      return lost() > 0;
    },
    { what: 'a read that was lost' },
  );
  const before = lost();
  const counted = (await telemetry.collect()).get('biz.rpc.retries') ?? [];
  expect(counted.find(({ attributes }) => attributes['biz.rpc.loss'] === 'lost')).toMatchObject({
    value: before,
    attributes: { 'rpc.method': 'GetCostCenter' },
  });
  await until(
    async () => {
      expect(await create(client, 'A', { ...context, idempotency_key: 'k' })).toEqual({ name: 'here' });
      return lost() > before;
    },
    { what: 'a write with a key that was lost' },
  );
  const refused: AppError[] = [];
  await until(
    async () => {
      await create(client, 'A').catch((error: AppError) => refused.push(error));
      return refused.length > 0;
    },
    { what: 'a write without a key that was lost' },
  );
  expect(refused[0]).toMatchObject({ code: 'unavailable', retryAfterSeconds: expect.any(Number) });
  expect(refused[0]?.message).toContain('look before you repeat it');
});

it("a service's own answer is never asked for twice", async () => {
  let asked = 0;
  const GetCostCenter: Handler = async () => {
    asked += 1;
    throw new AppError('unavailable', 'The database is away.');
  };
  const [one, two] = await Promise.all([serve({ GetCostCenter }), serve({ GetCostCenter })]);
  const client = clientOf([one.address, two.address]);
  expect((await failure(client.call('GetCostCenter', { id }, context))).message).toBe('The database is away.');
  expect(asked).toBe(1);
});

it('an instance that comes back in a moment is waited for; when nobody comes it is an error with Retry-After', async () => {
  const { address, [Symbol.asyncDispose]: stop } = await serve();
  const retries: Retry[] = [];
  const client = clientOf([address], retries);
  await create(client, 'A');
  await stop();
  const waiting = create(client, 'B');
  await until(() => retries.some(({ loss }) => loss === 'unreachable'), { what: 'a call that waits' });
  const again = await serve({ CreateCostCenter: async () => ({ name: 'again' }) }, address);
  expect(await waiting).toEqual({ name: 'again' });
  await again[Symbol.asyncDispose]();
  expect(await failure(create(client, 'C'))).toMatchObject({ code: 'unavailable', retryAfterSeconds: expect.any(Number) });
});
