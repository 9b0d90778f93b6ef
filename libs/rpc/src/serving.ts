import { once } from 'node:events';
import { AppError, toAppError } from '@biz/errors';
import type { MethodModel } from '@biz/protos';
import { untraced } from '@biz/telemetry';
import type { ServerUnaryCall, ServerWritableStream, StatusObject, sendUnaryData } from '@grpc/grpc-js';
import {
  admit,
  type Call,
  type CallScope,
  callScope,
  type Handler,
  isEndless,
  type RawCall,
  type RpcServerOptions,
  type StreamHandler,
} from './call.ts';
import { readContext } from './context.ts';
import { limits } from './limits.ts';
import { markLoss, stopping } from './loss.ts';
import { statusOf } from './status.ts';
import { type Served, serveCall } from './tracing.ts';

type Unary = ServerUnaryCall<object, object>;
type Streamed = ServerWritableStream<object, object>;

/** What a server has in hand. */
export type Work = {
  /** Every call whose handler is not done, streams until their end. */
  readonly calls: Map<CallScope, MethodModel>;
  /** No further call is begun. */
  stopping: boolean;
};

/** What grpc-js calls for a method. Throws without a handler. */
export function implementation(method: MethodModel, options: RpcServerOptions, work: Work) {
  const handler = options.handlers[method.name];
  if (!handler) throw new Error(`${method.path} has no handler.`);
  const serve = serving(method, options, work);
  if (method.responseStream) {
    return (stream: Streamed) =>
      serve(
        stream,
        async (call) => {
          await sendAll((handler as StreamHandler)(stream.request, call), stream, call.signal);
          stream.end();
        },
        // grpc-js makes the status of an error that is emitted, after what was written; to one that went away nothing can be said
        (status) => stream.destroyed || stream.emit('error', status),
      );
  }
  return (unary: Unary, reply: sendUnaryData<object>) =>
    serve(
      unary,
      async (call) => reply(null, await (handler as Handler)(unary.request, call)),
      (status) => reply(status),
    );
}

/** What calls of either kind have in common: counted, checked, logged, and every error told as a status with details. */
function serving(method: MethodModel, options: RpcServerOptions, work: Work) {
  return async (raw: RawCall, answer: Answer, refuse: Refuse): Promise<void> => {
    // said as not begun: whoever calls may go elsewhere at once
    if (work.stopping) return refuse(markLoss(statusOf(stopping), 'refused'));
    if (work.calls.size >= limits.callsInFlight) return refuse(markLoss(statusOf(tooMany), 'refused'));
    const served = serveCall(method, textOf(raw.metadata.get('traceparent')[0]));
    await served.run(() => serveOne(served, raw, answer, refuse));
  };

  async function serveOne(served: Served, raw: RawCall, answer: Answer, refuse: Refuse): Promise<void> {
    const started = performance.now();
    const scope = callScope(raw, method);
    work.calls.set(scope, method);
    try {
      const call = admit(raw, method, options, scope);
      const own = { ...call, context: served.follow(call.context) };
      // what has no end of its own is a trace of its beginning
      if (isEndless(method)) served.end();
      await (isEndless(method) ? untraced(() => answer(own)) : answer(own));
      served.end();
      options.log.debug({ rpc: method.path, trace_id: call.context.trace_id, ms: elapsed(started) }, 'answered');
    } catch (thrown) {
      const error = errorOf(thrown, scope.signal);
      refuse(scope.signal.reason === stopping ? markLoss(statusOf(error), 'lost') : statusOf(error));
      served.end(error);
      const entry = { rpc: method.path, code: error.code, trace_id: traceOf(raw), ms: elapsed(started) };
      if (error.code === 'internal' || error.code === 'unavailable') options.log.error({ ...entry, err: error.cause ?? error }, 'failed');
      else options.log.info(entry, 'refused');
    } finally {
      work.calls.delete(scope);
      scope.close();
    }
  }
}

type Answer = (call: Call) => Promise<void>;
type Refuse = (status: StatusObject) => void;

function textOf(value: string | Buffer | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

const tooMany = new AppError('unavailable', 'Too many calls at work; try again in a moment.');

/**
 * Sends message after message. The next one is not pulled while the caller has not taken the ones before it (grpc-js keeps 16); ends the
 * iterable when the signal is aborted, and throws what it was aborted with.
 */
async function sendAll(messages: AsyncIterable<object>, stream: Streamed, signal: AbortSignal): Promise<void> {
  for await (const message of messages) {
    signal.throwIfAborted();
    if (!stream.write(message)) await once(stream, 'drain', { signal });
  }
  signal.throwIfAborted();
}

/** What a handler throws because its call was aborted, an engine's broken cursor for example, is told as why it was aborted. */
function errorOf(thrown: unknown, signal: AbortSignal): AppError {
  return signal.aborted && !(thrown instanceof AppError) ? toAppError(signal.reason) : toAppError(thrown);
}

function traceOf(raw: RawCall): string | undefined {
  try {
    return readContext(raw.metadata).trace_id;
  } catch {
    return undefined; // it was refused for its context
  }
}

function elapsed(started: number): number {
  return Math.round((performance.now() - started) * 10) / 10;
}
