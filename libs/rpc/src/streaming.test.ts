import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { AppError } from '@biz/errors';
import { loadContract } from '@biz/protos';
import { testTls, until } from '@biz/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type Call,
  type CallContext,
  createRpcClient,
  createRpcServer,
  type Handlers,
  type RpcClient,
  type RpcClientOptions,
  type RpcServer,
  rpcLimits,
} from './index.ts';

type Numbered = { value: number };
type Counting = { upto: number; mood?: string };

const contract = loadContract({ dirs: [join(import.meta.dirname, 'test-protos')] });
const service = 'biz.feed.v1.FeedService';
const silent = { error: () => {}, info: () => {}, debug: () => {} };
const context: CallContext = {
  actor: { id: 'u-1', type: 'user' },
  role: 'auditor',
  roles: ['auditor'],
  company_id: 'c-1',
  companies: ['c-1'],
  clients: [],
  ip: '203.0.113.9',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
  request_id: 'r-1',
};
/** A message of 64 KiB, so that buffers of sockets hold few. */
const padding = 'x'.repeat(64 * 1024);

const seen = { pulled: 0, ended: 0, calls: [] as Call[] };

/** Counts what is pulled out of it, and its end. */
async function* count({ upto = 0, mood = 'well' }: Counting, call: Call): AsyncGenerator<object> {
  seen.calls.push(call);
  try {
    for (let value = 0; value < upto; value += 1) {
      seen.pulled += 1;
      yield { value, padding: mood === 'light' ? '' : padding };
    }
    if (mood === 'broken') throw new AppError('conflict', 'It broke.', { faults: [{ path: '/upto', message: 'was too much' }] });
    if (mood === 'waiting')
      await new Promise((_, reject) => call.signal.addEventListener('abort', () => reject(new Error('cursor closed'))));
  } finally {
    seen.ended += 1;
  }
}

const handlers: Handlers = { Count: count, One: async () => ({ value: 1 }) };

let tls: Awaited<ReturnType<typeof testTls>>;
let server: RpcServer;
let client: RpcClient;

beforeAll(async () => {
  tls = await testTls(['feed', 'gateway', 'stranger']);
  server = await serve();
  client = clientOf(server, 'gateway');
});
afterAll(async () => {
  client[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
  await tls[Symbol.asyncDispose]();
});
beforeEach(() => {
  Object.assign(seen, { pulled: 0, ended: 0, calls: [] });
});

const serve = () =>
  createRpcServer({
    contract,
    services: [service],
    handlers,
    listen: '127.0.0.1:0',
    tls: tls.tls('feed'),
    allowedPeers: ['gateway'],
    log: silent,
  });
const clientOf = (one: Pick<RpcServer, 'address'>, process: string, over: Partial<RpcClientOptions> = {}) =>
  createRpcClient({ contract, service, address: one.address, tls: tls.tls(process), ...over });
const stream = (request: Counting, options = {}, over: Partial<CallContext> = {}) =>
  client.stream<Numbered>('Count', request, { ...context, ...over }, options);

async function valuesOf(messages: AsyncIterable<Numbered>): Promise<number[]> {
  const values: number[] = [];
  for await (const { value } of messages) values.push(value);
  return values;
}

/** What came before the error, and the error. */
async function broken(messages: AsyncIterable<Numbered>): Promise<{ values: number[]; error: AppError }> {
  const values: number[] = [];
  try {
    for await (const { value } of messages) values.push(value);
  } catch (error) {
    return { values, error: error as AppError };
  }
  throw new Error('It ended well.');
}

describe('a stream', () => {
  it('brings every message in order, and ends', async () => {
    expect(await valuesOf(stream({ upto: 300 }))).toEqual(Array.from({ length: 300 }, (_, value) => value));
    expect(await valuesOf(stream({ upto: 0 }))).toEqual([]);
    expect(seen.calls[0]).toMatchObject({ peer: 'gateway', context });
    await until(() => seen.ended === 2, { what: 'the handlers to have ended' });
  });

  it('is made no faster than it is taken', async () => {
    const upto = 2_000;
    const values: number[] = [];
    let most = 0;
    for await (const { value } of stream({ upto })) {
      values.push(value);
      // the other side gets every chance to run ahead
      for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
      most = Math.max(most, seen.pulled - values.length);
    }
    expect(values.length).toBe(upto);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(100);
  });

  it('stops being made while nobody takes', async () => {
    const messages = stream({ upto: 100_000 })[Symbol.asyncIterator]();
    await messages.next();
    let last = -1;
    await until(
      () => {
        const still = seen.pulled === last;
        last = seen.pulled;
        return still;
      },
      { what: 'the handler to wait' },
    );
    expect(seen.pulled).toBeLessThan(100);
    await messages.return?.();
    await until(() => seen.ended, { what: 'the handler to have ended' });
  });

  it('is not begun before the first message is asked for', async () => {
    stream({ upto: 1 });
    await valuesOf(stream({ upto: 1 }));
    expect(seen.calls).toHaveLength(1);
  });
});

describe('connections that end by turns', () => {
  it('cost no stream a message, however slowly it is read', async () => {
    const connectionAgeMs = 20;
    await using wire = await countingWire(server.address);
    using caller = clientOf(wire, 'gateway', { connectionAgeMs });
    const slowly = async (upto: number) => {
      const values: number[] = [];
      for await (const { value } of caller.stream<Numbered>('Count', { upto, mood: 'light' }, context)) {
        values.push(value);
        await pause(connectionAgeMs);
      }
      return values;
    };
    // few and small ones: the server is done with a stream long before its reader is
    const lengths = Array.from({ length: 40 }, (_, upto) => upto);
    const taken = await Promise.all(lengths.map((upto) => pause(upto * 10).then(() => slowly(upto))));
    expect(taken).toEqual(lengths.map((upto) => Array.from({ length: upto }, (_, value) => value)));
    // a busy machine may have begun many of them at once, on one connection
    await until(async () => (await slowly(1)).length === 1 && wire.opened() > 5, { what: 'more than five connections' });
    await until(() => wire.open() === 1, { what: 'all connections but the last to be closed' });
  });
});

/** A wire to a server that counts its connections. */
async function countingWire(address: string): Promise<AsyncDisposable & { address: string; opened(): number; open(): number }> {
  const [host = '', port = ''] = address.split(':');
  let opened = 0;
  let open = 0;
  const wire = createServer((inward) => {
    opened += 1;
    open += 1;
    pipeline(inward, connect(Number(port), host), inward, () => {
      open -= 1;
    });
  });
  await new Promise<void>((resolve) => wire.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(wire.address() as AddressInfo).port}`,
    opened: () => opened,
    open: () => open,
    [Symbol.asyncDispose]: () => new Promise((resolve) => wire.close(() => resolve())),
  };
}

describe('the end of a stream', () => {
  it('comes when the caller leaves the loop: the call is cancelled', async () => {
    for await (const { value } of stream({ upto: 100_000 })) if (value === 3) break;
    await until(() => seen.ended, { what: 'the handler to have ended' });
    expect(seen.calls[0]?.signal.reason).toMatchObject({ code: 'cancelled' });
    expect(seen.pulled).toBeLessThan(200);
  });

  it('comes by the caller’s signal, also while nothing comes', async () => {
    const controller = new AbortController();
    const result = broken(stream({ upto: 2, mood: 'waiting' }, { signal: controller.signal }));
    await until(() => seen.pulled === 2, { what: 'the handler to wait' });
    controller.abort();
    expect((await result).error.code).toBe('cancelled');
    await until(() => seen.ended, { what: 'the handler to have ended' });
    const late = await broken(stream({ upto: 2 }, { signal: controller.signal }));
    expect(late).toMatchObject({ values: [], error: { code: 'cancelled' } });
  });

  it('comes at the deadline, and ends the handler', async () => {
    // long enough for two messages on a busy machine
    const { values, error } = await broken(stream({ upto: 2, mood: 'waiting' }, { deadline: new Date(Date.now() + 3_000) }));
    expect(error.code).toBe('timeout');
    expect(values).toEqual([0, 1]);
    await until(() => seen.ended, { what: 'the handler to have ended' });
  });

  it('is an error with its details, after the messages before it', async () => {
    const { values, error } = await broken(stream({ upto: 50, mood: 'broken' }));
    expect(values).toHaveLength(50);
    expect(error).toMatchObject({ code: 'conflict', message: 'It broke.', faults: [{ path: '/upto', message: 'was too much' }] });
    const early = await broken(stream({ upto: 0, mood: 'broken' }));
    expect(early).toMatchObject({ values: [], error: { code: 'conflict' } });
  });
});

describe('a stream is refused', () => {
  it.each([
    ['without a role', { upto: 1 }, { roles: ['user'] }, 'no_role'],
    ['without a company', { upto: 1 }, { company_id: null, companies: [] }, 'no_company'],
    ['with a request that breaks a rule', { upto: -1 }, {}, 'invalid_request'],
  ])('%s', async (_, request, over, code) => {
    expect((await broken(stream(request, {}, over))).error.code).toBe(code);
    expect(seen.calls).toEqual([]);
  });

  it('to a process that may not call', async () => {
    using stranger = clientOf(server, 'stranger');
    expect((await broken(stranger.stream('Count', { upto: 1 }, context))).error.code).toBe('no_role');
  });

  it('when its kind is not that of the method', () => {
    expect(() => client.stream('One', {}, context)).toThrow('answers with one message');
    expect(() => client.call('Count', {}, context)).toThrow('answers with a stream');
  });

  it('while too many calls are at work; a stream counts until its end', async () => {
    const most = rpcLimits.callsInFlight;
    const controller = new AbortController();
    const held = broken(stream({ upto: 1, mood: 'waiting' }, { signal: controller.signal }));
    await until(() => seen.calls.length === 1, { what: 'the stream to be at work' });
    rpcLimits.callsInFlight = 1;
    try {
      const call = client.call('One', {}, context);
      await expect(call).rejects.toMatchObject({ code: 'unavailable' });
      controller.abort();
      await held;
      await until(() => seen.ended, { what: 'the stream to have ended' });
      await until(() => client.call('One', {}, context).catch(() => undefined), { what: 'room for a call' });
    } finally {
      rpcLimits.callsInFlight = most;
    }
  });
});

describe('a server that stops', () => {
  it('lets a stream at work end', async () => {
    const other = await serve();
    using caller = clientOf(other, 'gateway');
    // more than is made ahead, and no more than a busy machine brings in the time that a stop gives it
    const upto = 64;
    const messages = caller.stream<Numbered>('Count', { upto }, context)[Symbol.asyncIterator]();
    await messages.next();
    expect(seen.ended).toBe(0);
    const stopped = other[Symbol.asyncDispose]();
    let taken = 1;
    for (let next = await messages.next(); !next.done; next = await messages.next()) taken += 1;
    expect(taken).toBe(upto);
    await stopped;
  });

  it('ends one that takes too long, and says why', async () => {
    const other = await serve();
    using caller = clientOf(other, 'gateway');
    const result = broken(caller.stream<Numbered>('Count', { upto: 3, mood: 'waiting' }, context));
    await until(() => seen.pulled === 3, { what: 'the handler to wait' });
    await other[Symbol.asyncDispose]();
    expect(seen.ended).toBe(1);
    expect(await result).toMatchObject({ values: [0, 1, 2], error: { code: 'unavailable', message: /stopping/ } });
  });
});
