import { type AppError, type ErrorCode, errorCodeEntry } from '@biz/errors';
import type { MethodModel } from '@biz/protos';
import { contextWith, histogram, openSpan, type Span, SpanKind, SpanStatusCode, traceparentOf } from '@biz/telemetry';
import type { CallContext } from './context.ts';

// Calls are traced here and not by an instrumentation of grpc-js: one span for a call with all its retries, the one call context that
// travels names the span, and errors are told by our codes, of which a text is never noted.

const durations = histogram('rpc.server.duration');

/**
 * Runs a call of ours in a span, with the context that names the span as the call's parent. The active span is its parent when it is of
 * the context's trace, else the context's own: work for many (a batch) calls in the name of each.
 */
export async function tracedCall<T>(method: MethodModel, context: CallContext, run: (context: CallContext) => Promise<T>): Promise<T> {
  const { span, context: inside } = openCall(method, context);
  try {
    return await contextWith(inside, () => run(following(context, span)));
  } catch (error) {
    failed(span, error as AppError);
    throw error;
  } finally {
    span.end();
  }
}

/** The same for a call that is answered with messages: its span ends with the first one, or with what came in its place. */
export async function* tracedMessages<T>(
  method: MethodModel,
  context: CallContext,
  run: (context: CallContext) => AsyncGenerator<T>,
): AsyncGenerator<T> {
  const { span, context: inside } = openCall(method, context);
  const messages = run(following(context, span));
  let begun = false;
  try {
    const first = await contextWith(inside, () => messages.next());
    begun = true;
    span.end();
    if (!first.done) {
      yield first.value;
      yield* messages;
    }
  } catch (error) {
    if (!begun) failed(span, error as AppError);
    throw error;
  } finally {
    if (!begun) span.end();
    await messages.return(undefined);
  }
}

/** A call that is served: its span, whose context the work runs in, and how its end is told. */
export type Served = {
  run<T>(work: () => T): T;
  /** The context of the call, naming this span, so that what the handler writes and calls follows it. */
  follow(context: CallContext): CallContext;
  /** Ends the span and counts the call, the first time that it is called. */
  end(error?: AppError): void;
};

/** Begins the span of a call that came with a `traceparent`. */
export function serveCall(method: MethodModel, traceparent: string | undefined): Served {
  const started = performance.now();
  const { span, context: inside } = openSpan(method.path.slice(1), {
    kind: SpanKind.SERVER,
    parent: traceparent,
    attributes: attributesOf(method),
  });
  let ended = false;
  return {
    run: (work) => contextWith(inside, work),
    follow: (context) => following(context, span),
    end(error) {
      if (ended) return;
      ended = true;
      if (error) failed(span, error);
      span.end();
      const labels = { 'rpc.service': method.service.fullName, 'rpc.method': method.name };
      const outcome = { 'rpc.grpc.status_code': error ? errorCodeEntry(error.code).grpc : 0, ...(error && { 'error.type': error.code }) };
      durations.record(performance.now() - started, { ...labels, ...outcome });
    },
  };
}

function openCall(method: MethodModel, { traceparent, trace_id }: CallContext) {
  const options = { kind: SpanKind.CLIENT, attributes: attributesOf(method) };
  return openSpan(method.path.slice(1), { ...options, parent: traceparent, within: trace_id });
}

function attributesOf({ name, service }: MethodModel) {
  return { 'rpc.system': 'grpc', 'rpc.service': service.fullName, 'rpc.method': name };
}

/** The same context, one span further; unchanged without telemetry, or when the span is of another trace. */
function following(context: CallContext, span: Span): CallContext {
  const found = span.spanContext();
  const traceparent = traceparentOf(found);
  return traceparent !== undefined && found.traceId === context.trace_id ? { ...context, traceparent } : context;
}

/** What the caller did wrong is an outcome, not an error of the span: only what is ours makes a trace a failed one. */
function failed(span: Span, error: AppError): void {
  const code: ErrorCode = error.code;
  const { grpc, http } = errorCodeEntry(code);
  span.setAttribute('rpc.grpc.status_code', grpc);
  span.setAttribute('error.type', code);
  if (http >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
}
