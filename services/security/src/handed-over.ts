import type { OwnEvent } from '@biz/eventstore';
import { isJsonObject, type JsonObject, parseJson } from '@biz/json';
import { type Keyring, sealFieldsUnlessErased } from '@biz/sealing';
import {
  anonymous,
  eventName,
  isSuccess,
  personalPaths,
  type SecurityEventDraft,
  type SecurityPayload,
  securityEntityType,
  severityOf,
} from '@biz/security-events';

/** Stands where nobody knows the address: the unspecified one (RFC 1122, 3.2.1.3). */
const unknownAddress = '0.0.0.0';

/**
 * The events to publish: personal fields sealed for the person, else the company, else nobody known. What belongs to somebody whose key was
 * destroyed is left out, not kept in clear. Errors: those of the keyring but for that.
 */
export async function eventsOf(
  keyring: Pick<Keyring, 'seal'>,
  drafts: readonly SecurityEventDraft[],
  producer: string,
): Promise<OwnEvent[]> {
  const targets = drafts.map((draft) => ({
    company_id: draft.company_id ?? null,
    event_id: draft.event_id,
    data: payloadOf(draft),
    fields: personalPaths.map((path) => ({ path, ownership_id: ownerOf(draft) })),
  }));
  const sealed = await sealFieldsUnlessErased(keyring, targets);
  return drafts.map((draft, at) => ({
    event_id: draft.event_id,
    type: eventName(draft.event_type),
    entity_type: securityEntityType,
    entity_id: draft.event_id,
    action_type: 'new',
    company_id: draft.company_id ?? null,
    client_id: draft.client_id ?? null,
    ownership_id: ownerOf(draft),
    data: sealed[at] ?? {},
    producer,
    at: draft.first_at,
    context: {
      actor: { id: draft.user_id ?? anonymous, type: 'user' },
      role: draft.user_role ?? 'none',
      ip: draft.ip ?? unknownAddress,
      trace_id: draft.trace_id,
      traceparent: `00-${draft.trace_id}-${draft.trace_id.slice(16)}-01`,
    },
  }));
}

function ownerOf(draft: SecurityEventDraft): string {
  return draft.user_id ?? draft.company_id ?? anonymous;
}

function payloadOf(draft: SecurityEventDraft): JsonObject {
  const details = parseJson(draft.details ?? '{}');
  const payload: SecurityPayload = {
    event_type: draft.event_type,
    severity: severityOf(draft.event_type),
    user_id: draft.user_id ?? null,
    user_email: draft.user_email ?? null,
    company_id: draft.company_id ?? null,
    client_id: draft.client_id ?? null,
    resource: draft.resource ?? null,
    action: draft.action ?? null,
    user_agent: draft.user_agent ?? null,
    request_id: draft.request_id ?? null,
    success: isSuccess(draft.event_type),
    error_message: draft.error_message ?? null,
    details: isJsonObject(details) ? details : {},
    count: draft.count ?? 1,
    first_at: draft.first_at,
    last_at: draft.last_at,
  };
  return { ...payload };
}
