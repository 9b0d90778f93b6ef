import { setTimeout as pause } from 'node:timers/promises';
import { isUnavailable } from '@biz/errors';
import type { RestoredEvent } from '@biz/eventstore';
import { parseJson } from '@biz/json';
import type { Contract } from '@biz/protos';
import { createRpcClient, serviceContext } from '@biz/rpc';
import { traceContext } from '@biz/service';
import type { RebuildConfig } from './config.ts';

/** A stretch of what the audit has. */
export interface Replayed {
  events: RestoredEvent[];
  /** Records looked at, of all that there are. */
  done: number;
  total: number;
}

interface Message {
  events?: { envelope: string; erased?: string[] }[];
  position: string;
  done?: number;
  total?: number;
}

const MOST_FAILURES = 5;
const FIRST_PAUSE_MS = 250;

/**
 * The events of a service as the audit has them, the newest first. A call that breaks off or takes too long is taken up where it was; throws
 * AppError when the audit stays away.
 */
export async function* replayed(contract: Contract, process: string, audit: NonNullable<RebuildConfig['audit']>): AsyncGenerator<Replayed> {
  using client = createRpcClient({ contract, service: 'biz.audit.v1.ReplayService', ...audit });
  let after = '';
  for (let failures = 0; ; ) {
    const messages = client.stream<Message>('ReplayEvents', after ? { after } : {}, serviceContext(process, traceContext()));
    const stream = messages[Symbol.asyncIterator]();
    try {
      for (let next = await stream.next(); !next.done; next = await stream.next()) {
        const { events = [], position, done = 0, total = 0 } = next.value;
        yield { events: events.map(({ envelope, erased = [] }) => ({ envelope: parseJson(envelope), erased })), done, total };
        [after, failures] = [position, 0];
      }
      return;
    } catch (error) {
      failures += 1;
      if (!isUnavailable(error) || failures > MOST_FAILURES) throw error;
      await pause(FIRST_PAUSE_MS * 2 ** (failures - 1));
    } finally {
      await stream.return?.();
    }
  }
}
