import { AppError } from '@biz/errors';
import { isJsonObject, type JsonObject, parseJson } from '@biz/json';
import type { Keyring } from '@biz/sealing';
import { type FindCursor, MongoServerError } from 'mongodb';
import type { Collections } from '../collections.ts';
import { sealedFields } from '../ingest/seal.ts';
import { originalOf, type RecordDocument } from '../record.ts';
import type { Step } from './fold.ts';
import type { Outline } from './order.ts';

/** The records of one entity, in order of the audit's version, in batches. */
export interface Source {
  /** Records with the payloads that the caller may open, from the first version to this one. */
  steps(upTo: number): AsyncIterable<Step[]>;
  /** The same without payloads, beyond a version. */
  outlines(after: number, upTo: number): AsyncIterable<Outline[]>;
  /** Some of them, in order of the ids. */
  fetch(recordIds: readonly string[]): Promise<Step[]>;
}

export interface SourceParts {
  collections: Pick<Collections, 'events'>;
  keyring: Pick<Keyring, 'open'>;
  /** Records read and opened at once. */
  batch: number;
}

/** One reading of an entity's history, for one call. */
export interface Reading {
  entity_key: string;
  company_id: string | null;
  /** Whether whole payloads are opened. */
  open: boolean;
  signal: AbortSignal;
  deadline: Date;
}

/** Payloads are opened together up to this many characters, so that large ones do not add up. */
const BATCH_SIZE = 4 * 1024 * 1024;
const TIME_LIMIT_EXCEEDED = 50;

const outlineFields = { version: 1, entity_version: 1, sealing: 1, action_at: 1 } as const;
const stepFields = { ...outlineFields, action_type: 1, payload: 1, payload_state: 1, ownership_id: 1, 'long.ownership_id': 1 } as const;
type OutlineRecord = Pick<RecordDocument, '_id' | 'version' | 'entity_version' | 'sealing' | 'action_at'>;
type StepRecord = OutlineRecord & Pick<RecordDocument, 'action_type' | 'payload' | 'payload_state' | 'ownership_id' | 'long'>;

/** Versions that one query asks for, in batches: it bounds what a server has to look at for the first of them. */
const BATCHES_PER_QUERY = 4;

/**
 * The records in the database, of the fields that a fold needs. Versions have no gaps, so they are asked for by ranges of the unique index
 * (entity, version), each its own query: it is tried again when a server changes, where a long-lived cursor would be lost. No index is named:
 * no other one begins with the entity, and named ones are not narrowed to the range by every server (the embedded one).
 */
export function recordSource({ collections: { events }, keyring, batch }: SourceParts, reading: Reading): Source {
  const { entity_key, signal } = reading;
  const span = batch * BATCHES_PER_QUERY;
  const walk = async function* <T extends object>(after: number, upTo: number, projection: object): AsyncGenerator<T[]> {
    for (let from = after; from < upTo; from += span) {
      const cursor = events
        .find({ entity_key, version: { $gt: from, $lte: Math.min(from + span, upTo) } })
        .project<T>(projection)
        .sort({ version: 1 })
        .batchSize(batch)
        .maxTimeMS(timeLeft(reading.deadline));
      yield* grouped(cursor, batch, signal);
    }
  };
  const stepsOf = (records: readonly StepRecord[]) => openedSteps(keyring, records, reading);
  return {
    steps: async function* (upTo) {
      for await (const records of walk<StepRecord>(0, upTo, stepFields)) yield await stepsOf(records);
    },
    outlines: async function* (after, upTo) {
      for await (const records of walk<OutlineRecord>(after, upTo, outlineFields)) yield records.map(outlineOf);
    },
    fetch: async (ids) => {
      const found = await events
        .find({ _id: { $in: [...ids] } })
        .project<StepRecord>(stepFields)
        .toArray();
      const steps = new Map((await stepsOf(found)).map((step) => [step.record_id, step]));
      return ids.flatMap((id) => steps.get(id) ?? []);
    },
  };
}

function timeLeft(deadline: Date): number {
  return Math.max(1, deadline.getTime() - Date.now());
}

async function* grouped<T extends object>(cursor: FindCursor<T>, most: number, signal: AbortSignal): AsyncGenerator<T[]> {
  let group: T[] = [];
  let size = 0;
  try {
    for await (const record of cursor) {
      group.push(record);
      size += 'payload' in record && typeof record.payload === 'string' ? record.payload.length : 0;
      if (group.length >= most || size >= BATCH_SIZE) {
        signal.throwIfAborted();
        yield group;
        group = [];
        size = 0;
      }
    }
  } catch (error) {
    if (error instanceof MongoServerError && error.code === TIME_LIMIT_EXCEEDED) {
      throw new AppError('timeout', 'The history is too long to be read in one call.', { cause: error });
    }
    throw error;
  }
  signal.throwIfAborted();
  if (group.length > 0) yield group;
}

function outlineOf({ _id, version, entity_version, sealing, action_at }: OutlineRecord): Outline {
  return { record_id: _id, version, entity_version: sealing === 'fields' ? (entity_version ?? null) : null, action_at };
}

/** One read of keys for all. A payload that does not open, or is no object (somebody changed the record), counts as sealed. */
async function openedSteps(keyring: Pick<Keyring, 'open'>, records: readonly StepRecord[], { company_id, open }: Reading): Promise<Step[]> {
  const sealed = open ? records.filter(({ payload_state, payload }) => payload_state === 'sealed' && payload !== null) : [];
  const items = sealed.map(({ payload }) => ({ company_id, field: sealedFields.payload, token: payload as string }));
  const opened = items.length > 0 ? await keyring.open(items) : [];
  const results = new Map(sealed.map((record, index) => [record, opened[index]]));
  return records.map((record): Step => {
    const { action_type, payload, payload_state } = record;
    const result = results.get(record);
    const text = payload_state === 'open' ? payload : result?.ok ? result.text : null;
    const erased = payload_state === 'erased' || (result?.ok === false && result.reason === 'erased');
    const patch = erased ? 'erased' : (objectOf(text) ?? 'sealed');
    const ownership_id = originalOf(record, 'ownership_id', record.ownership_id);
    return { ...outlineOf(record), action_type, patch, size: text?.length ?? 0, ownership_id };
  });
}

/** The object of a JSON text; undefined when it is none. */
export function objectOf(text: string | null): JsonObject | undefined {
  if (text === null) return undefined;
  try {
    const value = parseJson(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
