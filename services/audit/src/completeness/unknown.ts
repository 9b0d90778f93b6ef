import type { StoreDescription } from '@biz/reconciliation';
import type { EntityDocument } from '../ingest/store.ts';
import { indexKey } from '../keys.ts';
import { originalOf, type RecordDocument } from '../record.ts';
import { unknownToService } from './finding.ts';
import { openFindings } from './findings.ts';
import type { PassParts } from './pass-parts.ts';

const CHUNK = 500;

const projection = {
  ...{ event_id: 1, producer_service: 1, company_id: 1, entity_type: 1, entity_id: 1 },
  ...{ version: 1, entity_version: 1, long: 1 },
} as const;

/**
 * Opens a finding, `most` at most, for each record of these entities whose event the service does not have; gives how many are new. A service
 * has an event before the audit does, so nothing on its way is ever taken for unknown.
 */
export async function findUnknown(parts: PassParts, store: StoreDescription, entityKeys: readonly string[], most: number): Promise<number> {
  let found = 0;
  for (const key of entityKeys) {
    const records = parts.collections.events
      .find({ entity_key: key, producer_service: store.producer_service }, { projection, batchSize: CHUNK })
      .sort({ entity_key: 1, version: 1 });
    for await (const chunk of chunked(records)) {
      const findings = (await unknownOf(parts, chunk)).map((record) => findingOf(parts, record));
      found += await openFindings(parts.collections, findings, most - found);
      if (found >= most) return found;
    }
  }
  return found;
}

/** The same for entities that the service has no head of: by the newest record of each entity of its kinds, some hundred at a time. */
export async function findUnknownEntities(parts: PassParts, store: StoreDescription, most: number): Promise<number> {
  const { collections, signal } = parts;
  let found = 0;
  for (const type of store.entity_types) {
    const entities = collections.entities
      .find({ entity_type: indexKey(type) }, { projection: { record_id: 1 }, batchSize: CHUNK })
      .sort({ entity_type: 1, entity_id: 1 })
      .hint('entity');
    for await (const chunk of chunked<Pick<EntityDocument, '_id' | 'record_id'>>(entities)) {
      signal?.throwIfAborted();
      const newest = collections.events.find(
        { _id: { $in: chunk.map(({ record_id }) => record_id) } },
        { projection: { ...projection, entity_key: 1 } },
      );
      const own = (await newest.toArray()).filter(({ producer_service }) => producer_service === store.producer_service);
      const suspects = (await unknownOf(parts, own)).map(({ entity_key }) => entity_key);
      found += await findUnknown(parts, store, suspects, most - found);
      if (found >= most) return found;
    }
  }
  return found;
}

async function unknownOf(parts: PassParts, records: readonly RecordDocument[]): Promise<RecordDocument[]> {
  if (records.length === 0) return [];
  const ids = records.map((record) => originalOf(record, 'event_id', record.event_id));
  const known = await parts.client.findEvents(ids, parts.signal);
  return records.filter((_, at) => !known.has(ids[at] as string));
}

function findingOf({ service, now }: PassParts, record: RecordDocument) {
  const { _id: record_id, version, entity_version } = record;
  const about = {
    company_id: originalOf(record, 'company_id', record.company_id),
    entity_type: originalOf(record, 'entity_type', record.entity_type),
    entity_id: originalOf(record, 'entity_id', record.entity_id),
    event_id: originalOf(record, 'event_id', record.event_id),
  };
  const named = entity_version === undefined ? {} : { named_version: entity_version };
  return unknownToService(service, { ...about, ...named, record_id, version }, now());
}

async function* chunked<T>(items: AsyncIterable<T>): AsyncGenerator<T[]> {
  let chunk: T[] = [];
  for await (const item of items) {
    chunk.push(item);
    if (chunk.length < CHUNK) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}
