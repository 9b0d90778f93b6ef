import { type MessageModel, renderJson } from '@biz/protos';
import type { EventPage, EventQuery, PageRequest, StoredEvent } from './storage/port.ts';

export interface ExportParts {
  readonly find: (query: EventQuery, page: PageRequest) => Promise<EventPage>;
  readonly query: EventQuery;
  /** The contract's message of an event. */
  readonly model: MessageModel;
  readonly present: (events: readonly StoredEvent[]) => Promise<readonly object[]>;
  readonly signal: AbortSignal;
}

/** Events read at once; with `details` of 16 kB each, a piece stays below what a gRPC message may have. */
const PAGE = 100;

/** All events of a query, newest first, one JSON object a line, page by page: `google.api.HttpBody`. What comes meanwhile is not in it. */
export async function* eventLines({
  find,
  query,
  model,
  present,
  signal,
}: ExportParts): AsyncGenerator<{ content_type?: string; data: Buffer }> {
  let type: { content_type?: string } = { content_type: 'application/x-ndjson; charset=utf-8' };
  for (let after: string | undefined, more = true; more; more = after !== undefined) {
    signal.throwIfAborted();
    const { items, next } = await find(query, { size: PAGE, ...(after !== undefined && { after }) });
    const lines = (await present(items)).map((message) => `${renderJson(model, message)}\n`);
    yield { ...type, data: Buffer.from(lines.join('')) };
    type = {};
    after = next;
  }
}
