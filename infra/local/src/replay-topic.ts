import { setTimeout as pause } from 'node:timers/promises';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { auditTopic } from './fleet.ts';

/** What the manifest of a backup says of the audit. */
export interface AuditAbout {
  cut_at: string;
  logs: { log_id: string; next_offset: number }[];
}

export interface ReplayOptions {
  brokers: string;
  about: AuditAbout;
  /** The audit's group, which goes on where its records end. */
  exact: string;
  /** All groups concerned; the others go on a while before the backup's moment: what comes twice has one effect. */
  groups: readonly string[];
  print: (line: string) => void;
}

/** How far before the backup consumers begin at the latest: they may have been behind by that much. */
const BEFORE_MS = 60 * 60_000;
const TRIES = 60;
const PAUSE_MS = 500;

/**
 * Has the consumers read again what the topic got since the backup. The audit begins where its records end, or a while before the backup's moment
 * where that is earlier: a topic that was made anew counts from 0, and its own times say where it was then. No consumer may run.
 */
export async function replayTopic(options: ReplayOptions): Promise<void> {
  const admin = new Kafka({ clientId: 'biz-restore', brokers: options.brokers.split(','), logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    await insistently(() => placeGroups(admin, options));
  } finally {
    await admin.disconnect();
  }
}

/** Can be repeated: it sets the same offsets. */
async function placeGroups(admin: Admin, { about, exact, groups, print }: ReplayOptions): Promise<void> {
  const topic = auditTopic.name;
  const ends = await admin.fetchTopicOffsets(topic);
  const earlier = await admin.fetchTopicOffsetsByTimestamp(topic, Date.parse(about.cut_at) - BEFORE_MS);
  const inLogs = new Map(about.logs.map(({ log_id, next_offset }) => [Number(log_id.slice(topic.length + 1)), next_offset]));
  const before = new Map(earlier.map(({ partition, offset }) => [partition, Number(offset)]));
  const places = ends.map(({ partition, low }) => {
    const from = Math.min(inLogs.get(partition) ?? 0, before.get(partition) ?? 0);
    if (Number(low) > from) print(`WARNING: ${topic}-${partition}: messages ${from} to ${Number(low) - 1} are not on the topic any more`);
    return { partition, offset: String(Math.max(from, Number(low))) };
  });
  for (const group of groups) await place(admin, group, topic, group === exact ? places : earlier);
  const left = ends.reduce(
    (sum, { high, partition }) => sum + Number(high) - Number(places.find((one) => one.partition === partition)?.offset ?? 0),
    0,
  );
  print(`${left.toLocaleString('en')} messages of the topic will be read again`);
}

async function place(admin: Admin, groupId: string, topic: string, partitions: { partition: number; offset: string }[]): Promise<void> {
  const known = await admin.fetchOffsets({ groupId, topics: [topic] });
  // a group that never was begins at the start by itself
  if (known.every(({ partitions: all }) => all.every(({ offset }) => offset === '-1'))) return;
  await admin.setOffsets({ groupId, topic, partitions });
}

/** A broker that has just started leads nothing yet; a member that was killed is in its group for a while. */
async function insistently(work: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (tries === TRIES) throw error;
      await pause(PAUSE_MS);
    }
  }
}
