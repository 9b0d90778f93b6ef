import type { EventSource } from './types.ts';

/** The name that a process's events go by: `cost-center` is `cost_center_service`. */
export function producerName(process: string): string {
  return `${process.replaceAll('-', '_')}_service`;
}

/**
 * The standard envelope of one of our own events, as a Kafka message. Its key is the entity id, so that one entity's
 * events keep their order. `metadata.sealing` tells the audit that personal fields are sealed already.
 */
export function envelopeOf(
  event: EventSource,
  producer: { service: string; instance: string },
): { key: string; value: string; headers: { traceparent: string; event_id: string } } {
  const { meta } = event;
  const envelope = {
    producer_service: producer.service,
    producer_service_id: producer.instance,
    trace_id: meta.trace_id,
    timestamp: event.at,
    event_type: event.type,
    payload: event.data,
    metadata: {
      event_id: event._id,
      event_schema_version: event.schema_version,
      environment: meta.environment,
      owner_id: meta.owner_id,
      owner_ip: meta.owner_ip,
      owner_role: meta.owner_role,
      owner_type: meta.owner_type,
      ownership_id: meta.ownership_id,
      company_id: meta.company_id ?? undefined,
      client_id: meta.client_id ?? undefined,
      entity_type: meta.entity_type,
      entity_id: meta.entity_id,
      entity_version: event.version,
      action_type: meta.action_type,
      sealing: 'fields',
      blind_indexes: meta.blind_indexes,
    },
  };
  return {
    key: meta.entity_id,
    value: JSON.stringify(envelope),
    headers: { traceparent: meta.traceparent, event_id: event._id },
  };
}
