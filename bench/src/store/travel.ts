import { createGate, entityDiff, entityKey, entityState } from '@biz/audit';
import { percentile, type Report } from '../report.ts';
import { callOf } from './call.ts';
import type { FilledStore } from './filled.ts';
import type { Entity } from './mix.ts';

type HistoryParts = Parameters<typeof entityState>[0];

/** Runs of each figure, and the time after which there are no more than three. */
const RUNS = 50;
const LONGEST_MS = 10_000;

/** State and diff of the newest version of entities with many; the floor is the bare read of the same payloads. */
export async function benchTravel(store: FilledStore, report: Report): Promise<void> {
  const parts: HistoryParts = {
    collections: store.collections,
    keyring: store.keyring,
    limits: { batch: 1_000, answerBytes: 4_000_000, searched: 10_000 },
    gate: createGate(4, 100),
  };
  for (const entity of store.mix.sized) {
    const request = { entity_type: entity.type, entity_id: entity.id };
    const floor = await inTurn(() => bareRead(store, entity));
    const what = `${entity.versions} versions${entity.type === 'card' ? ', sealed whole and opened' : ''}`;
    const spread = (samples: number[]) => `p50; most ${Math.max(...samples).toFixed(1)} ms, ${samples.length} runs`;
    const state = await inTurn(() => entityState(parts, request, callOf('HistoryService', 'GetEntityState', entity.company)));
    report.add(`state at ${what}`, percentile(state, 0.5), 'ms', { floor: percentile(floor, 0.5), spread: spread(state) });
    const diff = await inTurn(() => entityDiff(parts, { ...request, from: 1 }, callOf('HistoryService', 'GetEntityDiff', entity.company)));
    report.add(`diff of the first and last of ${what}`, percentile(diff, 0.5), 'ms', {
      floor: percentile(floor, 0.5),
      spread: spread(diff),
    });
  }
}

async function bareRead({ db }: FilledStore, { company, type, id, versions }: Entity): Promise<void> {
  const cursor = db
    .collection('records')
    .find({ entity_key: entityKey(company, type, id) }, { projection: { version: 1, payload: 1 } })
    .sort({ version: 1 })
    .batchSize(1_000);
  const found = await cursor.toArray();
  if (found.length !== versions) throw new Error(`${id} has ${found.length} versions, not ${versions}`);
}

async function inTurn(run: () => Promise<unknown>): Promise<number[]> {
  const samples: number[] = [];
  const until = performance.now() + LONGEST_MS;
  while (samples.length < 3 || (samples.length < RUNS && performance.now() < until)) {
    const started = performance.now();
    await run();
    samples.push(performance.now() - started);
  }
  return samples;
}
