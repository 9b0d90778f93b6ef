import type { InMessage } from '@biz/bus';
import { type EnvelopeLimits, readEnvelope } from '@biz/envelope';
import { entityKey, indexKey } from '../keys.ts';
import type { Incoming } from './batch.ts';

/** Reads a message: an event, or why it is none. Never throws for what a message holds. */
export function readMessage(message: InMessage, limits: EnvelopeLimits): Incoming {
  const offset = Number(message.offset);
  if (message.codecFault !== undefined) {
    return { offset, fault: { code: 'unsupported_codec', faults: [{ path: '', message: message.codecFault }] } };
  }
  const result = readEnvelope(message, limits);
  if (!result.ok) {
    return { offset, fault: { code: result.code, faults: result.faults } };
  }
  const { event } = result;
  return {
    offset,
    event,
    eventKey: indexKey(event.event_id),
    entityKey: entityKey(event.company_id, event.entity_type, event.entity_id),
  };
}
