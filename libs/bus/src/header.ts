import type { Batch, InMessage } from './types.ts';

/** A header as text; the first one of several, undefined when there is none. Bytes that are no UTF-8 become U+FFFD. */
export function headerText(message: Pick<InMessage, 'headers'> | undefined, name: string): string | undefined {
  const value = message?.headers[name];
  const first = Array.isArray(value) ? value[0] : value;
  return first === undefined ? undefined : typeof first === 'string' ? first : first.toString('utf8');
}

/** What a span of the work on messages of one partition says of them: OpenTelemetry's conventions for messaging. */
export function processAttributes({ topic, partition }: Pick<Batch, 'topic' | 'partition'>): Record<string, string> {
  return {
    'messaging.system': 'kafka',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': topic,
    'messaging.destination.partition.id': String(partition),
  };
}
