import { producerName } from '@biz/envelope';
import type { Call, StreamHandler } from '@biz/rpc';
import { replay } from '../query/replay.ts';
import { noteShown } from '../reads/tally.ts';
import type { RpcParts } from './parts.ts';

/** ReplayService: a service gets its own events, and its certificate says which service it is. */
export function replayHandlers({ collections, keyring, replaySpan: span }: RpcParts): Record<string, StreamHandler> {
  return {
    ReplayEvents: async function* ({ after }: { after?: string }, call: Call) {
      const producer = producerName(call.peer);
      for await (const { records, ...message } of replay(collections, keyring, { producer, span, ...(after && { after }) })) {
        noteShown(call, records);
        yield message;
      }
    },
  };
}
