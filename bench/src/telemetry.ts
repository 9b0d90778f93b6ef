import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type LaunchedFleet, launchFleet } from '@biz/local';
import { processorTime } from './cpu.ts';
import { clientOf, create, inFlight, inTurns, seenInAudit, timed } from './mutation.ts';
import { percentile, type Report } from './report.ts';

/** Pairs of rounds, one with and one without telemetry, by turns; and requests of each. */
const pairs = Number(process.env.BENCH_ROUNDS ?? 7);
const perRound = 600;
const warmUp = 2_000;

/** What is told of a round leaves within this time (spans every 2 s), in milliseconds. */
const tellingMs = 3_000;

/** The fleets are left alone for this long, in milliseconds: three times metrics leave. */
const idleMs = 30_000;
/** Comparisons of the audit with the services come once a minute: they would fall into some of the rounds only. */
const quiet = { RECONCILE_EVERY_SECONDS: '86400' };

/** Processes that only one of the fleets has, and that a mutation does not touch. */
const shared: ReadonlySet<string> = new Set(['keycloak', 'mail']);

type Side = 'on' | 'off';
type Sides<T> = Readonly<Record<Side, T>>;

/** `cpu`: processor time a mutation, in milliseconds, without what the fleet computes all the time. */
type Round = { readonly p50: number; readonly rate: number; readonly cpu: number };

/**
 * What telemetry costs a mutation: two fleets side by side, one with everything recorded and sent to a sink that only reads, one without,
 * asked by turns, so that what else the machine does meets both. The floor is the one without; of the pairs' ratios the median counts.
 * What a fleet computes while nobody asks it is measured by itself, and taken off the rounds: else a round that took longer would seem to
 * cost more.
 */
export async function benchTelemetry(report: Report): Promise<void> {
  await using sink = await startSink();
  await using on = await launchFleet({ env: { ...quiet, OTEL_EXPORTER_OTLP_ENDPOINT: sink.url } });
  await using off = await launchFleet({ env: { ...quiet, ...(await keycloakOf(on)), OTEL_SDK_DISABLED: 'true' } });
  for (const fleet of [on, off]) {
    await mutations(fleet, warmUp);
  }
  const idle = await idleOf({ on, off });
  report.add('processor time of an idle fleet with telemetry', idle.on, 'ms/s', { floor: idle.off, spread: `${idleMs / 1_000} s` });
  const rounds: Sides<Round>[] = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    // whoever is second meets what the first one left: they take turns in that, too
    const measured: Partial<Record<Side, Round>> = {};
    for (const side of pair % 2 === 0 ? (['on', 'off'] as const) : (['off', 'on'] as const)) {
      measured[side] = await round({ on, off }[side], idle[side]);
    }
    rounds.push(measured as Sides<Round>);
    console.log(`pair ${pair + 1} of ${pairs}: ${JSON.stringify(measured)}`);
  }
  if (sink.bytes === 0) throw new Error('No telemetry arrived.');
  const spread = `median of ${pairs} pairs of ${perRound} requests, ${inFlight} in flight`;
  const figures = [
    ['p50', 'ms', ({ p50 }: Round) => p50],
    ['time a request', 'ms', ({ rate }: Round) => 1_000 / rate],
    // what the whole fleet computes beyond what it does when idle, Kafka, MongoDB and audit included
    ['processor time', 'ms', ({ cpu }: Round) => cpu],
  ] as const;
  for (const [figure, unit, of] of figures) {
    const median = (side: Side) =>
      percentile(
        rounds.map((pair) => of(pair[side])),
        0.5,
      );
    const ratios = rounds.map((pair) => of(pair.on) / of(pair.off));
    const cost = percentile(ratios, 0.5) - 1;
    report.add(`POST /v1/cost-centers with telemetry, ${figure}`, median('on'), unit, { floor: median('off'), spread });
    report.add(`telemetry's cost of a mutation, ${figure}`, cost * 100, '%', {
      target: '<= 5',
      ok: cost <= 0.05,
      spread: `pairs ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')}`,
    });
  }
}

/** Settings by which a second fleet has no Keycloak of its own: it is asked for a token a round. */
async function keycloakOf(fleet: LaunchedFleet): Promise<Record<string, string>> {
  return {
    KEYCLOAK_URL: (await fleet.run()).keycloak_url,
    KEYCLOAK_CLIENT_SECRET_FILE: join(fleet.folder, 'keys', 'identity-client'),
    OIDC_CLIENT_SECRET_FILE: join(fleet.folder, 'keys', 'gateway-client'),
  };
}

/** What the fleets compute while nobody asks them, side by side, in milliseconds a second. */
async function idleOf({ on, off }: Sides<LaunchedFleet>): Promise<Sides<number>> {
  await pause(tellingMs);
  const before = { on: processorTime(on, shared), off: processorTime(off, shared) };
  const started = performance.now();
  await pause(idleMs);
  const seconds = (performance.now() - started) / 1_000;
  return { on: (processorTime(on, shared) - before.on) / seconds, off: (processorTime(off, shared) - before.off) / seconds };
}

/** One round, until what was told of it has left. */
async function round(fleet: LaunchedFleet, idle: number): Promise<Round> {
  const before = processorTime(fleet, shared);
  const started = performance.now();
  const { samples, ms } = await mutations(fleet, perRound);
  await pause(tellingMs);
  const seconds = (performance.now() - started) / 1_000;
  const cpu = (processorTime(fleet, shared) - before - idle * seconds) / perRound;
  return { p50: percentile(samples, 0.5), rate: (perRound * 1_000) / ms, cpu };
}

/** Asks so many times, and waits until the audit has the last record: how long each request took, and all of them, in milliseconds. */
async function mutations(fleet: LaunchedFleet, count: number): Promise<{ samples: number[]; ms: number }> {
  const run = await fleet.run();
  await using admin = await clientOf(run, 'admin-a'); // anew: a token is good for five minutes
  await using auditor = await clientOf(run, 'auditor-a');
  const started = performance.now();
  let last = '';
  const samples = await inTurns(count, () =>
    timed(async () => {
      last = await create(admin);
    }),
  );
  const ms = performance.now() - started;
  await seenInAudit(auditor, last);
  return { samples, ms };
}

/** Takes what is sent and forgets it: a collector on a machine of its own. */
async function startSink(): Promise<AsyncDisposable & { readonly url: string; readonly bytes: number }> {
  let bytes = 0;
  const server = createServer((request, response) => {
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () => response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get bytes() {
      return bytes;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
