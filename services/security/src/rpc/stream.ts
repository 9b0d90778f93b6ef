import { renderJson } from '@biz/protos';
import { companiesOf } from '@biz/resource';
import type { Call, CallContext, StreamHandler } from '@biz/rpc';
import { noteOpening } from '../opening.ts';
import { presentEvents } from '../present.ts';
import { keyText } from '../storage/event.ts';
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
  const { keyring, streaming } = parts;
  const { config, entries, hub, openings, model } = streaming;
  return {
    async *StreamSecurityEvents({ last_event_id }: { last_event_id?: string }, call: Call) {
      const { context, signal, deadline } = call;
      const bookmark = last_event_id ? readBookmark(last_event_id) : undefined;
      using _open = openings.open(context.actor.id);
      const opened = mayOpen(context);
      if (opened) await noteOpening(parts, '/v1/security/stream', context);
      using follower = await hub.follow();
      const texts = eventStream({
        ...{ entries, follower, signal, retryMs, sees: seenBy(context), ...(bookmark && { bookmark }) },
        present: async (events) => (await presentEvents(keyring, events, opened)).map((message) => renderJson(model, message)),
        keptSince: () => new Date(Date.now() - config.STREAM_KEEP_HOURS * hourMs + clocksMs),
        heartbeatMs: config.STREAM_HEARTBEAT_SECONDS * 1_000,
        ends: new Date(Math.min(deadline.getTime() - endingMs, Date.now() + config.STREAM_MAX_SECONDS * 1_000)),
      });
      for await (const text of texts) yield { content_type: eventStreamType, data: Buffer.from(text) };
    },
  };
}

function seenBy(context: CallContext): (companyId: string | null) => boolean {
  const companies = companiesOf(context);
  if (companies === 'all') return () => true;
  const seen = new Set(companies.flatMap((company) => (company === null ? [] : [keyText(company)])));
  return (company) => company !== null && seen.has(company);
}
