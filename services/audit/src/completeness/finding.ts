import type { JsonObject } from '@biz/json';
import { entityKey, indexKey } from '../keys.ts';

export type FindingKind = 'missing_event' | 'unknown_to_service' | 'version_differs';
export type FindingStatus = 'open' | 'closed';

/** Something that the audit and a producer do not agree about. Opened once and closed once; strings are index keys (see keys.ts). */
export interface FindingDocument {
  /** Made of what is found, so that it is found once however often it is looked for. */
  _id: string;
  kind: FindingKind;
  status: FindingStatus;
  company_id: string | null;
  entity_key: string;
  entity_type: string;
  entity_id: string;
  event_id: string;
  /** The version that the producer names. */
  named_version?: number;
  /** The version of the record, where there is one. */
  version?: number;
  record_id?: string;
  /** The process that was asked. */
  service?: string;
  found_at: Date;
  closed_at?: Date;
  /** When the service was last asked to publish the event again, and how often. */
  republished_at?: Date;
  republish_count?: number;
  /** How much of it has become an event of the audit's own: 1 its opening, 2 its closing. */
  told: 0 | 1 | 2;
  /** Whether there is more to tell. */
  untold: boolean;
}

/** An entity as its producer names it. */
export interface EntityName {
  company_id: string | null;
  entity_type: string;
  entity_id: string;
}

interface About extends EntityName {
  event_id: string;
}

/** The service published an event of which there is no record. */
export function missingEvent(service: string, about: About & { named_version: number }, at: Date): FindingDocument {
  return { ...opened('missing_event', [service, about.event_id], about, at), service, named_version: about.named_version };
}

type RecordPart = { record_id: string; version: number; named_version?: number };

/** There is a record of an event that its service does not have. */
export function unknownToService(
  service: string,
  { record_id, version, named_version, ...about }: About & RecordPart,
  at: Date,
): FindingDocument {
  return {
    ...opened('unknown_to_service', [service, about.event_id], about, at),
    ...{ service, record_id, version },
    ...(named_version !== undefined && { named_version }),
  };
}

/** The producer named another version than the one that its record got. */
export function versionDiffers({ record_id, version, named_version, ...about }: About & Required<RecordPart>, at: Date): FindingDocument {
  return { ...opened('version_differs', [record_id], about, at), record_id, version, named_version };
}

function opened(
  kind: FindingKind,
  id: readonly string[],
  { company_id, entity_type, entity_id, event_id }: About,
  at: Date,
): FindingDocument {
  return {
    _id: [kind, ...id].join(':'),
    kind,
    status: 'open',
    company_id: company_id === null ? null : indexKey(company_id),
    entity_key: entityKey(company_id, entity_type, entity_id),
    entity_type: indexKey(entity_type),
    entity_id: indexKey(entity_id),
    event_id: indexKey(event_id),
    found_at: at,
    told: 0,
    untold: true,
  };
}

/** As a message of the contract, and as the payload of its events. */
export function presentFinding(finding: FindingDocument): JsonObject {
  const { kind, status, company_id, entity_type, entity_id, event_id, named_version, version, record_id, service } = finding;
  return {
    id: finding._id,
    ...{ kind, status, entity_type, entity_id, event_id },
    ...(company_id !== null && { company_id }),
    ...(named_version !== undefined && { named_version }),
    ...(version !== undefined && { version }),
    ...(record_id !== undefined && { record_id }),
    ...(service !== undefined && { service }),
    found_at: finding.found_at.toISOString(),
    ...(finding.closed_at && { closed_at: finding.closed_at.toISOString() }),
    ...(finding.republished_at && { republished_at: finding.republished_at.toISOString() }),
    republish_count: finding.republish_count ?? 0,
  };
}
