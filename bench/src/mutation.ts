import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { LaunchedFleet, RunFile } from '@biz/local';
import { Agent, type Dispatcher, request } from 'undici';
import { percentile, type Report } from './report.ts';

/** Requests at work at once, and how many are measured after a warm-up. */
export const inFlight = 20;
const measured = 2_000;
const warmUp = 300;
/** How many of the writes are followed until the audit shows them. */
const followed = 400;

export type Http = { readonly origin: string; readonly dispatcher: Dispatcher; readonly headers: Record<string, string> };

/**
 * What a client sees of a mutation: latency of `POST /v1/cost-centers`, and from its 201 until the audit shows the record. The floor of the
 * POST is the same request to a bare HTTPS server that answers from memory.
 */
export async function benchMutation(fleet: LaunchedFleet, report: Report): Promise<void> {
  const run = await fleet.run();
  await using admin = await clientOf(run, 'admin-a');
  await using auditor = await clientOf(run, 'auditor-a');

  await inTurns(warmUp, () => create(admin));
  const started = performance.now();
  const posts = await inTurns(measured, () => timed(() => create(admin)));
  const seconds = (performance.now() - started) / 1000;
  const floor = await floorOf(fleet);
  const spread = `${inFlight} in flight, ${measured} requests`;
  report.add('POST /v1/cost-centers p50', percentile(posts, 0.5), 'ms', { floor: percentile(floor, 0.5), spread });
  report.add('POST /v1/cost-centers p99', percentile(posts, 0.99), 'ms', { floor: percentile(floor, 0.99), spread });
  report.add('POST /v1/cost-centers rate', measured / seconds, 'req/s', { spread });

  const visible = await inTurns(followed, async () => {
    const id = await create(admin);
    return timed(() => seenInAudit(auditor, id));
  });
  report.add('201 to visible in the audit p50', percentile(visible, 0.5), 'ms', { spread: `${inFlight} in flight, ${followed} writes` });
  report.add('201 to visible in the audit p99', percentile(visible, 0.99), 'ms', { spread: `${inFlight} in flight, ${followed} writes` });
}

/** A client of the fleet's gateway with a user's token, and connections of its own until it is disposed. */
export async function clientOf(run: RunFile, username: string): Promise<Http & AsyncDisposable> {
  const dispatcher = new Agent({ connect: { ca: readFileSync(run.ca_file) }, connections: inFlight, pipelining: 1 });
  const headers = { authorization: `Bearer ${await token(run, username)}` };
  return { origin: run.gateway, dispatcher, headers, [Symbol.asyncDispose]: () => dispatcher.close() };
}

let count = 0;

export async function create({ origin, dispatcher, headers }: Http): Promise<string> {
  count += 1;
  const body = JSON.stringify({ code: `BENCH-${process.pid}-${count}`, name: 'Loja Centro', budget_cents: 150_000 });
  const answer = await request(`${origin}/v1/cost-centers`, {
    method: 'POST',
    dispatcher,
    headers: { ...headers, 'content-type': 'application/json' },
    body,
  });
  const text = await answer.body.text();
  if (answer.statusCode !== 201) throw new Error(`${answer.statusCode} ${text}`);
  return JSON.parse(text).id;
}

/** Resolves once the audit shows the entity's first record. */
export async function seenInAudit({ origin, dispatcher, headers }: Http, id: string): Promise<void> {
  for (;;) {
    const answer = await request(`${origin}/v1/audit/entities/cost_center/${id}/history`, { dispatcher, headers });
    const body = (await answer.body.json()) as { items?: unknown[] };
    if (body.items?.length) return;
    // Each look is an event of its own: without a pause they would be what is measured.
    await pause(10);
  }
}

/** The same requests against a server that does nothing but answer. */
async function floorOf(fleet: LaunchedFleet): Promise<number[]> {
  const tls = (name: string) => readFileSync(`${fleet.folder}/tls/${name}`);
  const server = createServer({ cert: tls('gateway.pem'), key: tls('gateway-key.pem') }, (incoming, outgoing) => {
    incoming.resume().on('end', () => outgoing.writeHead(201, { 'content-type': 'application/json' }).end('{"id":"x"}'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const run = await fleet.run();
  const dispatcher = new Agent({
    connect: { ca: readFileSync(run.ca_file), servername: 'localhost' },
    connections: inFlight,
    pipelining: 1,
  });
  const http: Http = { origin: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, dispatcher, headers: {} };
  await inTurns(warmUp, () => create(http));
  const samples = await inTurns(measured, () => timed(() => create(http)));
  await dispatcher.close();
  server.close();
  return samples;
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

export async function inTurns<T>(times: number, work: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let left = times;
  const worker = async () => {
    while (left-- > 0) results.push(await work());
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return results;
}

async function token(run: RunFile, username: string): Promise<string> {
  const user = run.users.find((candidate) => candidate.username === username);
  const answer = await request(`${run.keycloak_url}/realms/${run.realm}/protocol/openid-connect/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ grant_type: 'password', client_id: run.client_id, username, password: user?.password ?? '' }).toString(),
  });
  return ((await answer.body.json()) as { access_token: string }).access_token;
}
