import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bringUp, locate } from '../bring-up.ts';
import { cacheFolder } from '../cache.ts';
import { createSupervisor, type Supervisor } from '../supervisor.ts';
import { ensureTopics } from '../topics.ts';
import { kafkaOf } from './kafka.ts';

let folder: string;
let supervisor: Supervisor;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'biz-kafka-'));
  supervisor = await createSupervisor({ folders: { logs: join(folder, 'logs'), run: join(folder, 'run') }, say: () => undefined });
});

afterAll(async () => {
  await supervisor.stop();
  await rm(folder, { recursive: true, force: true });
});

const silent = { cache: cacheFolder(), progress: () => undefined };

test('three brokers are one cluster, whose topics have three replicas of which two must have a message', async () => {
  const located = await locate(kafkaOf(3), {});
  await bringUp(located, { ...silent, folder, supervisor });
  await ensureTopics(located.address, {});
  const admin = new Kafka({ brokers: located.address.split(','), logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const { topics } = await admin.fetchTopicMetadata({ topics: ['audit'] });
  expect(topics[0]?.partitions.map(({ replicas }) => replicas.toSorted())).toEqual(Array.from({ length: 6 }, () => [1, 2, 3]));
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: 2, name: 'audit', configNames: ['min.insync.replicas'] }],
  });
  expect(resources[0]?.configEntries[0]?.configValue).toBe('2');
  await admin.disconnect();
});

test('a cluster keeps its size', async () => {
  const other = await locate(kafkaOf(1), {});
  await expect(bringUp(other, { ...silent, folder, supervisor })).rejects.toThrow(/data here is of 3 broker.*--brokers 3/);
  expect(await readFile(join(folder, 'data', 'kafka', 'server.properties'), 'utf8')).toContain('3@127.0.0.1');
});
