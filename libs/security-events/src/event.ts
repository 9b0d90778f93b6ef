import type { ReadEvent } from '@biz/envelope';
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '@biz/json';
import { type SecurityEventType, type Severity, severities, severityOf, typeOfName } from './names.ts';

/** Entity type of security events; each stands alone, its entity id is its event id. */
export const securityEntityType = 'security_event';

/** Owner of an event that is about nobody we know. */
export const anonymous = 'anonymous';

/** A value that is personal: in clear before it is sealed, `{"sealed": token}` on its way, null when there is none. */
export type Personal = string | { sealed: string } | null;

/** The payload of a security event as it travels on the topic (requirement S2). Never a token, a password, a cookie, or a URL with values. */
export interface SecurityPayload {
  event_type: SecurityEventType;
  severity: Severity;
  user_id: string | null;
  user_email: Personal;
  company_id: string | null;
  client_id: string | null;
  /** Pattern of the route, or the RPC. */
  resource: string | null;
  /** HTTP method, or what was tried. */
  action: string | null;
  user_agent: Personal;
  request_id: string | null;
  success: boolean;
  /** Code of the refusal; never a text that holds personal data. */
  error_message: string | null;
  details: JsonObject;
  /** How many times the same happened from `first_at` to `last_at` (RFC 3339): a flood is folded into one event. */
  count: number;
  first_at: string;
  last_at: string;
}

/** A security event as it is handed over to be sealed and published: SecurityEventDraft of biz/security/v1/recording.proto, personal values in clear. */
export interface SecurityEventDraft {
  event_id: string;
  event_type: SecurityEventType;
  user_id?: string;
  user_email?: string;
  user_role?: string;
  company_id?: string;
  client_id?: string;
  ip?: string;
  user_agent?: string;
  resource?: string;
  action?: string;
  request_id?: string;
  trace_id: string;
  error_message?: string;
  /** JSON text. */
  details?: string;
  count?: number;
  first_at: string;
  last_at: string;
}

/** A security event as it is read from the topic. */
export interface SecurityEvent extends SecurityPayload {
  event_id: string;
  /** When the producer says that it happened. */
  at: Date;
  /** The client's address. */
  ip: string;
  trace_id: string;
  /** Where it came from: `gateway_service`, `identity_service`. */
  source: string;
  /** Whose data it is. */
  ownership_id: string;
}

/** Paths of the personal fields in the payload; they belong to the event's ownership. */
export const personalPaths = ['/user_email', '/user_agent'] as const;

/**
 * The security event that an envelope is; undefined for any other, and for one whose payload has not the form (somebody else's event of the
 * same name). Nothing is opened: sealed fields stay sealed.
 */
export function readSecurityEvent(event: ReadEvent): SecurityEvent | undefined {
  const type = typeOfName(event.event_type);
  if (type === undefined) return undefined;
  const payload = objectOf(event.payload);
  if (payload === undefined) return undefined;
  return {
    event_id: event.event_id,
    at: event.action_at,
    ip: event.owner_ip,
    trace_id: event.trace_key,
    source: event.producer_service,
    ownership_id: event.ownership_id,
    event_type: type,
    severity: severities.find((one) => one === payload.severity) ?? severityOf(type),
    user_id: text(payload.user_id),
    user_email: personal(payload.user_email),
    company_id: event.company_id,
    client_id: event.client_id,
    resource: text(payload.resource),
    action: text(payload.action),
    user_agent: personal(payload.user_agent),
    request_id: text(payload.request_id),
    success: payload.success === true,
    error_message: text(payload.error_message),
    details: isJsonObject(payload.details) ? payload.details : {},
    count: Number.isSafeInteger(payload.count) && (payload.count as number) > 0 ? (payload.count as number) : 1,
    first_at: text(payload.first_at) ?? event.timestamp,
    last_at: text(payload.last_at) ?? event.timestamp,
  };
}

function objectOf(payload: string): JsonObject | undefined {
  const value = parseJson(payload);
  return isJsonObject(value) ? value : undefined;
}

function text(value: JsonValue | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

function personal(value: JsonValue | undefined): Personal {
  if (typeof value === 'string') return value;
  return isJsonObject(value) && typeof value.sealed === 'string' ? { sealed: value.sealed } : null;
}
