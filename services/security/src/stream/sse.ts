/** The content type of Server-Sent Events (WHATWG HTML, 9.2.5); always UTF-8. */
export const eventStreamType = 'text/event-stream';

export interface ServerSentEvent {
  /** What the client gives back as `Last-Event-ID`. */
  readonly id?: string;
  /** Type of the event. */
  readonly event?: string;
  readonly data?: string;
  /** How long the client waits before it connects again, in milliseconds. */
  readonly retry?: number;
}

/**
 * The text of one event. Data of several lines is several fields, of which the client makes the lines again (as LF). One without data is not
 * dispatched, but its id and `retry` count. Throws on an id or type that would end its line, or an id with NUL, which clients ignore.
 */
export function sseText({ id, event, data, retry }: ServerSentEvent): string {
  for (const text of [id, event]) if (text !== undefined && /[\r\n\0]/.test(text)) throw new Error('would end its line');
  const lines = [
    ...(retry === undefined ? [] : [`retry: ${retry}`]),
    ...(event === undefined ? [] : [`event: ${event}`]),
    ...(id === undefined ? [] : [`id: ${id}`]),
    ...(data === undefined ? [] : data.split(/\r\n|\r|\n/).map((line) => `data: ${line}`)),
  ];
  return `${lines.join('\n')}\n\n`;
}

/** A comment, which clients ignore: it shows both sides that the other is there. */
export function sseComment(text: string): string {
  return `: ${text.replaceAll(/[\r\n]+/g, ' ')}\n`;
}
