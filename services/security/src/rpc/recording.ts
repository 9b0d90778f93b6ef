import { producerName } from '@biz/envelope';
import { AppError } from '@biz/errors';
import type { Call, Handler } from '@biz/rpc';
import type { SecurityEventDraft } from '@biz/security-events';
import { eventsOf } from '../handed-over.ts';
import type { RpcParts } from './parts.ts';

/** Who hands over events. Any other process of the fleet publishes its own, and none may tell of refusals that another saw. */
const mayRecord: readonly string[] = ['gateway', 'identity'];

/** RecordingService: what others saw, sealed and on its way to the topic before this answers. */
export function recordingHandlers({ keyring, outbox }: RpcParts): Record<string, Handler> {
  return {
    async RecordSecurityEvents({ events }: { events: SecurityEventDraft[] }, { peer }: Call) {
      if (!mayRecord.includes(peer)) throw new AppError('no_role', `The process "${peer}" may not record security events.`);
      await outbox.append(await eventsOf(keyring, events, producerName(peer)));
      return {};
    },
  };
}
