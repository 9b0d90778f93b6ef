import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type LaunchedFleet, launchFleet } from '@biz/local';
import { clientOf, create, type Http, inFlight, inTurns, timed } from './mutation.ts';
import { percentile, type Report } from './report.ts';

/** Pairs of rounds, one with and one without telemetry, by turns; and requests of each. */
const pairs = 7;
const perRound = 600;
const warmUp = 600;

type Round = { readonly p50: number; readonly rate: number };

/**
 * What telemetry costs a mutation: two fleets side by side, one with everything recorded and sent to a sink that only reads, one without,
 * asked by turns, so that what else the machine does meets both. The floor is the one without; of the pairs' ratios the median counts.
 */
export async function benchTelemetry(report: Report): Promise<void> {
  await using sink = await startSink();
  await using on = await launchFleet({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: sink.url } });
  await using off = await launchFleet({ env: { OTEL_SDK_DISABLED: 'true' } });
  const [withIt, without] = [await admin(on), await admin(off)];
  for (const http of [withIt, without]) await inTurns(warmUp, () => create(http));
  const rounds: { on: Round; off: Round }[] = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    // whoever is second meets what the first one left: they take turns in that, too
    if (pair % 2 === 0) rounds.push({ on: await round(withIt), off: await round(without) });
    else {
      const first = await round(without);
      rounds.push({ off: first, on: await round(withIt) });
    }
  }
  if (sink.bytes === 0) throw new Error('No telemetry arrived.');
  const spread = `median of ${pairs} pairs of ${perRound} requests, ${inFlight} in flight`;
  for (const [figure, unit, of] of [
    ['p50', 'ms', ({ p50 }: Round) => p50],
    ['rate', 'req/s', ({ rate }: Round) => rate],
  ] as const) {
    const ratios = rounds.map((pair) => of(pair.on) / of(pair.off));
    const cost = figure === 'p50' ? percentile(ratios, 0.5) - 1 : 1 - percentile(ratios, 0.5);
    const floor = percentile(rounds.map((pair) => of(pair.off)), 0.5);
    report.add(`POST /v1/cost-centers ${figure} with telemetry`, percentile(rounds.map((pair) => of(pair.on)), 0.5), unit, { floor, spread });
    report.add(`telemetry's cost of a mutation, ${figure}`, cost * 100, '%', {
      target: '<= 5',
      ok: cost <= 0.05,
      spread: `pairs ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')}`,
    });
  }
}

async function admin(fleet: LaunchedFleet): Promise<Http> {
  return clientOf(await fleet.run(), 'admin-a');
}

async function round(http: Http): Promise<Round> {
  const started = performance.now();
  const samples = await inTurns(perRound, () => timed(() => create(http)));
  return { p50: percentile(samples, 0.5), rate: (perRound * 1_000) / (performance.now() - started) };
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
