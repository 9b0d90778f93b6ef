import { randomBytes } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAddressGuard } from './addresses.ts';
import { createWebhookSender, webhookSecret } from './sender.ts';

type Received = { headers: IncomingHttpHeaders; body: string; path: string };

const key = randomBytes(32);
/** One that is being replaced. */
const former = randomBytes(32);
const guard = createAddressGuard({ networks: [], loopback: true });
const received: Received[] = [];
const answers = new Map<string, (response: ServerResponse) => void>([
  ['/ok', (response) => response.writeHead(204).end()],
  ['/gone', (response) => response.writeHead(410).end()],
  ['/moved', (response) => response.writeHead(307, { location: '/ok' }).end()],
  ['/broken', (response) => response.writeHead(500).end('x')],
  ['/refused', (response) => response.writeHead(404).end()],
  // an answer without end
  ['/endless', (response) => void response.writeHead(200).write('x'.repeat(100_000))],
  ['/silent', () => undefined],
]);
let server: Server;
let base: string;

beforeAll(async () => {
  server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const path = request.url ?? '';
    received.push({ headers: request.headers, body, path });
    answers.get(path)?.(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const send = async (path: string, over: { guard?: typeof guard; signal?: AbortSignal; timeoutMs?: number } = {}) => {
  await using sender = createWebhookSender({ keys: [key, former], guard: over.guard ?? guard, timeoutMs: over.timeoutMs ?? 10_000 });
  const url = path.startsWith('/') ? base + path : path;
  return await sender.send({ id: 'n-1', url, company_id: 'c-1', body: '{"type":"x"}' }, over.signal);
};

describe('a webhook', () => {
  it('is signed so that its receiver can tell who sent it', async () => {
    expect(await send('/ok')).toEqual({ kind: 'sent' });
    const { headers, body } = received.at(-1) as Received;
    const given = headers as Record<string, string>;
    expect(new Webhook(webhookSecret(key, 'c-1', `${base}/ok`)).verify(body, given)).toEqual({ type: 'x' });
    expect(new Webhook(webhookSecret(former, 'c-1', `${base}/ok`)).verify(body, given)).toEqual({ type: 'x' });
    expect(() => new Webhook(webhookSecret(randomBytes(32), 'c-1', `${base}/ok`)).verify(body, given)).toThrow();
    expect(given['webhook-id']).toBe('n-1');
    // not with another company's secret, nor another body
    expect(() => new Webhook(webhookSecret(key, 'c-2', `${base}/ok`)).verify(body, given)).toThrow();
    expect(() => new Webhook(webhookSecret(key, 'c-1', `${base}/ok`)).verify('{"type":"y"}', given)).toThrow();
  });

  it('is tried again unless its receiver wants no more, and follows no redirect', async () => {
    expect(await send('/broken')).toEqual({ kind: 'later', reason: 'http 500' });
    expect(await send('/refused')).toEqual({ kind: 'later', reason: 'http 404' });
    expect(await send('/gone')).toEqual({ kind: 'refused', reason: 'http 410' });
    const before = received.length;
    expect(await send('/moved')).toEqual({ kind: 'refused', reason: 'http 307' });
    expect(received.slice(before).map(({ path }) => path)).toEqual(['/moved']);
  });

  it('waits for no answer beyond its time, and reads none beyond its bound', async () => {
    expect(await send('/silent', { timeoutMs: 100 })).toEqual({ kind: 'later', reason: 'timeout' });
    expect(await send('/endless')).toEqual({ kind: 'sent' });
    const stopping = new AbortController();
    const stopped = send('/silent', { signal: stopping.signal });
    stopping.abort();
    expect(await stopped).toEqual({ kind: 'away', reason: 'stopped' });
  });

  it('does not reach what its name leads to when that is inside', async () => {
    const strict = createAddressGuard({ networks: [], loopback: false });
    const before = received.length;
    const { port } = new URL(base);
    expect(await send(`https://localhost:${port}/ok`, { guard: strict })).toEqual({
      kind: 'refused',
      reason: 'webhook address not allowed',
    });
    expect(await send(`https://127.0.0.1:${port}/ok`, { guard: strict })).toEqual({
      kind: 'refused',
      reason: 'webhook address not allowed',
    });
    expect(received.length).toBe(before);
    expect(await send('http://127.0.0.1:1/')).toMatchObject({ kind: 'later', reason: 'ECONNREFUSED' });
  });
});
