import { renderJson } from '@biz/protos';
import { companiesOf } from '@biz/resource';
import type { Call, CallContext, StreamHandler } from '@biz/rpc';
import { noteOpening } from '../opening.ts';
import { presentEvents } from '../present.ts';
import { keyText } from '../storage/event.ts';
import type { Item } from '../stream/entries.ts';
import { eventStream } from '../stream/follow.ts';
import { readBookmark } from '../stream/position.ts';
import { eventStreamType } from '../stream/sse.ts';
import { mayOpen } from './events.ts';
import type { RpcParts } from './parts.ts';

/** What a stream that ends with its token or by its age needs to end properly, in milliseconds. */
const endingMs = 1_000;
const retryMs = 2_000;
/** Clocks of instances and of the database may differ by this, in milliseconds. */
const clocksMs = 5 * 60_000;
const hourMs = 3_600_000;

/** StreamService: what happens, within the companies of the caller, opened as in a list. */
export function streamHandlers(parts: RpcParts): Record<string, StreamHandler> {
  const { config, entries, hub, openings } = parts.streaming;
  return {
    async *StreamSecurityEvents({ last_event_id }: { last_event_id?: string }, call: Call) {
      const { context, signal, deadline } = call;
      const bookmark = last_event_id ? readBookmark(last_event_id) : undefined;
      using _open = openings.open(context.actor.id);
      // to administrators alerts are opened
      if (context.actor.type === 'user') await noteOpening(parts, '/v1/security/stream', context);
      using follower = await hub.follow();
      const texts = eventStream({
        ...{ entries, follower, signal, retryMs, sees: seenBy(context), ...(bookmark && { bookmark }) },
        present: (items) => presented(parts, items, context),
        keptSince: () => new Date(Date.now() - config.STREAM_KEEP_HOURS * hourMs + clocksMs),
        heartbeatMs: config.STREAM_HEARTBEAT_SECONDS * 1_000,
        ends: new Date(Math.min(deadline.getTime() - endingMs, Date.now() + config.STREAM_MAX_SECONDS * 1_000)),
      });
      for await (const text of texts) yield { content_type: eventStreamType, data: Buffer.from(text) };
    },
  };
}

/** Events as a list shows them, and alerts. */
async function presented({ keyring, streaming, alerts }: RpcParts, items: readonly Item[], context: CallContext): Promise<Shown[]> {
  const events = items.flatMap((item) => ('event' in item ? [item.event] : []));
  const entities = items.flatMap((item) => ('alert' in item ? [item.alert] : []));
  const [shownEvents, shownAlerts] = await Promise.all([
    presentEvents(keyring, events, mayOpen(context)),
    entities.length === 0 ? [] : alerts.present(entities, context),
  ]);
  const [nextEvent, nextAlert] = [shownEvents.values(), shownAlerts.values()];
  return items.map((item) =>
    'event' in item
      ? { event: 'security_event', data: renderJson(streaming.model, nextEvent.next().value ?? {}) }
      : { event: 'security_alert', data: renderJson(streaming.alertModel, nextAlert.next().value ?? {}) },
  );
}

type Shown = { event: string; data: string };

function seenBy(context: CallContext): (companyId: string | null) => boolean {
  const companies = companiesOf(context);
  if (companies === 'all') return () => true;
  const seen = new Set(companies.flatMap((company) => (company === null ? [] : [keyText(company)])));
  return (company) => company !== null && seen.has(company);
}
