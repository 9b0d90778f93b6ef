import {
  type Attributes,
  type Context,
  context,
  type HrTime,
  type Link,
  type ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { createBudget } from './budget.ts';
import { scope } from './scope.ts';
import { failSpan, spanContextOf, traceparentOf, tracer } from './traced.ts';

export type BatchOptions = {
  /** How many messages are worked on as one. */
  readonly count: number;
  /** The `traceparent` (W3C) of each message's trace; undefined for one without. Asked for only when telemetry is on. */
  readonly traceparentOf: (index: number) => string | undefined;
  /** Of the batch's own span. */
  readonly kind?: SpanKind;
  readonly attributes?: Attributes;
  /** What each message's span is; without it messages have none of their own. `PRODUCER`: one for each that `carry` is called for. */
  readonly each?: {
    readonly name: string;
    readonly kind: SpanKind.PRODUCER | SpanKind.CONSUMER;
    /** Those that all have. */
    readonly attributes?: Attributes;
    /** Those of one message; asked for only where there is a span. */
    readonly attributesOf?: (index: number) => Attributes;
  };
};

/** The `traceparent` that goes into the outgoing message: its span's where there is one, else the one that the message came with. */
export type Carry = (index: number) => string | undefined;

/** Links of one batch span: the limit of the SDK, which drops what comes beyond (OTEL_SPAN_LINK_COUNT_LIMIT). */
const MOST_LINKS = 128;

/**
 * Spans of messages that one process makes: 2,000 at once, 1,000 a second for long. One costs some 10 µs until it has left, which beyond
 * that would be a share of the work itself; and what is more than queues hold is dropped anyway. Batches have theirs always.
 */
const mayOpen = createBudget(1_000, 2_000);

/**
 * Works on many messages as one, in a span of the batch that begins a trace of its own and links to the messages' (the first 128 that are
 * sampled). Each sampled message has a span in its own trace, linked to the batch: of a producer made when `carry` is called, of a consumer
 * made after the work with the times of the batch. A message that is alone and sampled has the batch's span below its own, so that its trace
 * shows everything (OpenTelemetry, semantic conventions for messaging spans). A `traceparent` that is malformed, sampled by nobody, or beyond
 * what a process makes in a second, has no span and goes on as it came: the trace id stays the same. What the work throws is thrown on, and marks the spans. Without the preload the work is merely run.
 */
export async function tracedBatch<T>(name: string, options: BatchOptions, run: (carry: Carry) => Promise<T>): Promise<T> {
  if (options.count === 0 || !isOn()) return run(options.traceparentOf);
  const spans = new BatchSpans(name, options);
  try {
    const result = await context.with(spans.active, run, undefined, spans.carry);
    spans.end();
    return result;
  } catch (error) {
    spans.end({ error });
    throw error;
  }
}

/** Whether anybody gave an SDK: the provider of the API alone has no tracer. */
function isOn(): boolean {
  const provider = trace.getTracerProvider() as Partial<ProxyTracerProvider>;
  return provider.getDelegateTracer === undefined || provider.getDelegateTracer(scope) !== undefined;
}

class BatchSpans {
  /** The context that the work runs in. */
  readonly active: Context;
  readonly #options: BatchOptions;
  readonly #tracer = tracer();
  readonly #began: number;
  readonly #own = new Map<number, Span>();
  readonly #batch: Span;

  constructor(name: string, options: BatchOptions) {
    const { count, kind = SpanKind.INTERNAL, attributes, each } = options;
    const startTime = Date.now();
    this.#options = options;
    this.#began = startTime;
    const alone = count === 1 ? this.#traceOf(0) : undefined;
    const first = alone && each && mayOpen() ? this.#open(0, each, alone) : undefined;
    const parent = alone && (first?.spanContext() ?? alone);
    const links: Link[] = [];
    for (let index = 0; index < count && links.length < MOST_LINKS; index += 1) {
      const found = this.#traceOf(index);
      if (found) links.push({ context: found });
    }
    const batch = { kind, links, startTime, attributes: { ...attributes, 'messaging.batch.message_count': count } };
    this.#batch = this.#tracer.startSpan(name, batch, parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT);
    first?.addLink({ context: this.#batch.spanContext() });
    this.active = trace.setSpan(parent ? ROOT_CONTEXT : context.active(), this.#batch);
  }

  readonly carry: Carry = (index) => {
    const { each, traceparentOf: given } = this.#options;
    if (each?.kind !== SpanKind.PRODUCER) return given(index);
    const known = this.#own.get(index);
    if (known) return traceparentOf(known.spanContext());
    const found = this.#traceOf(index);
    return found && mayOpen() ? traceparentOf(this.#open(index, each, found, this.#batch).spanContext()) : given(index);
  };

  end(failure?: { error: unknown }): void {
    const { each, count } = this.#options;
    const consumed = each?.kind === SpanKind.CONSUMER && this.#own.size === 0 ? each : undefined;
    for (let index = 0, left = true; consumed && left && index < count; index += 1) {
      const found = this.#traceOf(index);
      left = found === undefined || mayOpen();
      if (found && left) this.#open(index, consumed, found, this.#batch, hrTime(this.#began));
    }
    const ended = hrTime(Date.now());
    for (const span of this.#own.values()) {
      if (failure) failSpan(span, failure.error);
      span.end(ended);
    }
    if (failure) failSpan(this.#batch, failure.error);
    this.#batch.end();
  }

  /** The trace that a message belongs to, when somebody records it. */
  #traceOf(index: number): SpanContext | undefined {
    const traceparent = this.#options.traceparentOf(index);
    // not sampled: told by its last character, which most of a busy topic is looked at for
    if (traceparent === undefined || traceparent.endsWith('0')) return undefined;
    const found = spanContextOf(traceparent);
    return found && (found.traceFlags & TraceFlags.SAMPLED) !== 0 ? found : undefined;
  }

  /** Begins the span of one message, in its own trace. */
  #open(index: number, each: NonNullable<BatchOptions['each']>, parent: SpanContext, batch?: Span, startTime?: HrTime): Span {
    const attributes = each.attributesOf ? { ...each.attributes, ...each.attributesOf(index) } : each.attributes;
    const options = {
      kind: each.kind,
      ...(attributes && { attributes }),
      ...(batch && { links: [{ context: batch.spanContext() }] }),
      ...(startTime && { startTime }),
    };
    const span = this.#tracer.startSpan(each.name, options, trace.setSpanContext(ROOT_CONTEXT, parent));
    this.#own.set(index, span);
    return span;
  }
}

/** As the SDK takes it without another conversion for each span. */
function hrTime(ms: number): HrTime {
  return [Math.floor(ms / 1_000), Math.floor((ms % 1_000) * 1_000_000)];
}
