import { isIP } from 'node:net';
import type { RecordMessage } from './record-message.ts';

/** Version of the Open Cybersecurity Schema Framework that the events are of. */
export const OCSF_VERSION = '1.8.0';

/** Class Entity Management of the category Identity & Access Management. */
const classification = { category_uid: 3, category_name: 'Identity & Access Management', class_uid: 3004, class_name: 'Entity Management' };

const activities = {
  new: [1, 'Create'],
  update: [3, 'Update'],
  delete: [4, 'Delete'],
  enable: [8, 'Enable'],
  disable: [9, 'Disable'],
} as const satisfies Record<RecordMessage['action_type'], readonly [number, string]>;

const userTypes = { user: [1, 'User'], service: [4, 'Service'] } as const;

/**
 * A record as an OCSF event. `entity.data` is the payload, digit for digit; what OCSF has no place for is in `unmapped` under the
 * names of the record, first the cursor that continues after it.
 */
export function ocsfLine(record: RecordMessage, cursor: string): string {
  const [activity_id, activity_name] = activities[record.action_type];
  const event = {
    ...classification,
    activity_id,
    activity_name,
    type_uid: classification.class_uid * 100 + activity_id,
    type_name: `${classification.class_name}: ${activity_name}`,
    severity_id: 1,
    severity: 'Informational',
    // A record is of something that has happened.
    status_id: 1,
    status: 'Success',
    time: Date.parse(record.action_at),
    metadata: metadataOf(record),
    actor: actorOf(record),
    ...(isAddress(record.owner_ip) && { src_endpoint: { ip: record.owner_ip } }),
  };
  const entity = {
    uid: record.entity_id || record.record_id,
    type_id: 99,
    type: record.entity_type,
    version: String(record.version),
  };
  // Texts of JSON are put in as they are: JSON.parse would lose digits.
  return `${open(event)},"entity":${open(entity)},"data":${record.payload}},"unmapped":${unmapped(record, cursor)}}`;
}

function metadataOf(record: RecordMessage): object {
  return {
    version: OCSF_VERSION,
    product: { name: 'Biz Retail audit', vendor_name: 'Biz Retail' },
    uid: record.event_id,
    event_code: record.event_type,
    log_name: record.log_id,
    log_provider: record.producer_service,
    sequence: record.leaf_index,
    logged_time: Date.parse(record.received_at),
    original_time: record.timestamp_as_sent,
    correlation_uid: record.trace_id,
    ...(record.company_id !== undefined && { tenant_uid: record.company_id }),
  };
}

function actorOf({ owner_id, owner_type }: RecordMessage): object {
  const [type_id, type] = userTypes[owner_type];
  return { user: { uid: owner_id, type_id, type } };
}

function unmapped(record: RecordMessage, cursor: string): string {
  const { owner_ip } = record;
  const rest = {
    cursor,
    record_id: record.record_id,
    leaf_hash: record.leaf_hash,
    is_active: record.is_active,
    ownership_id: record.ownership_id,
    client_id: record.client_id,
    owner_role: record.owner_role,
    ...(owner_ip !== undefined && !isAddress(owner_ip) && { owner_ip }),
    ...(record.sealed_fields.includes('owner_ip') && { owner_ip: { sealed: true } }),
    ...(record.erased_fields.includes('owner_ip') && { owner_ip: { erased: true } }),
    producer_service_id: record.producer_service_id,
    clock_skew: record.clock_skew,
    entity_version: record.entity_version,
    trace_id_as_sent: record.trace_id_as_sent,
  };
  return `${open(rest)},"metadata":${record.metadata},"extra":${record.extra}}`;
}

/** Text of an object that is not closed yet. */
function open(value: object): string {
  return JSON.stringify(value).slice(0, -1);
}

function isAddress(text: string | undefined): text is string {
  return text !== undefined && isIP(text) !== 0;
}
