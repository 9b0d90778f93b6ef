import { AppError } from '@biz/errors';
import type { Call, Handler, Handlers, StreamHandler } from '@biz/rpc';
import { newId } from '@biz/service';
import { type Outcome, readEvent } from './event.ts';
import { isRead } from './methods.ts';
import type { OpenRead, ReadLog } from './read-log.ts';
import { countAnswer, startTally, type Tally } from './tally.ts';

/**
 * The same handlers, whose reads are recorded: one event a request, durable before the answer leaves, whoever asks. What
 * cannot be recorded is not answered (`unavailable`). Nothing here reads by an RPC, so no read makes another.
 */
export function audited(reads: ReadLog, handlers: Handlers): Record<string, Handler | StreamHandler> {
  return Object.fromEntries(
    Object.entries(handlers).map(([name, handler]) => [
      name,
      (request: object, call: Call) => {
        if (!isRead(call.method)) return handler(request, call);
        return call.method.responseStream
          ? stream(reads, handler as StreamHandler, request, call)
          : unary(reads, handler as Handler, request, call);
      },
    ]),
  ) as Record<string, Handler | StreamHandler>;
}

async function unary(reads: ReadLog, handler: Handler, request: object, call: Call): Promise<object> {
  const tally = startTally(call);
  try {
    const answer = await handler(request, call);
    countAnswer(tally, answer);
    await reads.record(readEvent(newId(), request, call, tally, 'answered'));
    return answer;
  } catch (error) {
    await recordAbsence(reads, request, call, tally, error);
    throw error;
  }
}

/** That there is nothing is an answer, too. What was refused or failed has shown nothing. */
async function recordAbsence(reads: ReadLog, request: object, call: Call, tally: Tally, error: unknown): Promise<void> {
  if (error instanceof AppError && error.code === 'not_found') {
    await reads.record(readEvent(newId(), request, call, tally, 'not_found'));
  }
}

async function* stream(reads: ReadLog, handler: StreamHandler, request: object, call: Call): AsyncGenerator<object> {
  const tally = startTally(call);
  const messages = handler(request, call)[Symbol.asyncIterator]();
  let open: OpenRead | undefined;
  let outcome: Outcome = 'cancelled';
  const id = newId();
  const event = (how: Outcome) => readEvent(id, request, call, tally, how);
  try {
    for (let next = await first(messages); !next.done; next = await messages.next()) {
      countAnswer(tally, next.value);
      open ??= await reads.begin(id, () => event('interrupted'));
      open.signal.throwIfAborted();
      yield next.value;
    }
    outcome = 'answered';
  } catch (error) {
    outcome = call.signal.aborted ? 'cancelled' : 'failed';
    throw error;
  } finally {
    await messages.return?.();
    // An empty one, too; what failed before anything was shown has shown nothing.
    if (open !== undefined) await open.end(event(outcome));
    else if (outcome === 'answered') await reads.record(event(outcome));
  }

  async function first(from: AsyncIterator<object>): Promise<IteratorResult<object>> {
    try {
      return await from.next();
    } catch (error) {
      await recordAbsence(reads, request, call, tally, error);
      throw error;
    }
  }
}
