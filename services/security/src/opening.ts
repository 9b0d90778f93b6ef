import { producerName } from '@biz/envelope';
import type { Outbox } from '@biz/eventstore';
import type { CallContext } from '@biz/rpc';
import type { Keyring } from '@biz/sealing';
import { newId, rfc3339 } from '@biz/service';
import { eventsOf } from './handed-over.ts';

/**
 * That personal data is about to be opened is a security event, durable before the first of it leaves. For streamed answers: of the others the gateway
 * tells.
 */
export async function noteOpening(
  { keyring, outbox }: { keyring: Pick<Keyring, 'seal'>; outbox: Pick<Outbox, 'append'> },
  resource: string,
  context: CallContext,
): Promise<void> {
  const at = rfc3339();
  const draft = {
    ...{ event_id: newId(), event_type: 'ACCESS_GRANTED' as const, user_id: context.actor.id, user_role: context.role, ip: context.ip },
    ...(context.company_id !== null && { company_id: context.company_id }),
    ...{ resource, action: 'GET', request_id: context.request_id, trace_id: context.trace_id },
    ...{ first_at: at, last_at: at },
  };
  await outbox.append(await eventsOf(keyring, [draft], producerName('security')));
}
