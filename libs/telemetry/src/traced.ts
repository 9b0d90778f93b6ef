import {
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { scope } from './scope.ts';

export type TracedOptions = {
  readonly kind?: SpanKind;
  readonly attributes?: Attributes;
  /** A `traceparent` (W3C) that the span belongs under; the active span when not given or malformed. */
  readonly parent?: string | undefined;
  /** The trace that the work belongs to: an active span of this trace comes before `parent`. */
  readonly within?: string;
  /** Other traces that the work is about, as `traceparent`s; malformed ones are left out. */
  readonly links?: readonly string[];
  /** When the span began, in milliseconds since the epoch; now when not given. */
  readonly startTime?: number;
};

/** The tracer of our own spans. */
export function tracer(): Tracer {
  return trace.getTracer(scope);
}

/**
 * Runs work in a span, which is the active one meanwhile. What the work throws is thrown on; of it the span gets the type and code, never
 * the message, which may hold anything. Without the preload the work is merely run.
 */
export async function traced<T>(name: string, options: TracedOptions, run: (span: Span) => Promise<T>): Promise<T> {
  const { span, context: inside } = openSpan(name, options);
  try {
    return await context.with(inside, run, undefined, span);
  } catch (error) {
    failSpan(span, error);
    throw error;
  } finally {
    span.end();
  }
}

/**
 * Begins a span that the caller ends, and gives the context in which its work is to be run (`contextWith`): for work that begins and ends in
 * callbacks. Everything else is `traced`.
 */
export function openSpan(name: string, options: TracedOptions): { readonly span: Span; readonly context: Context } {
  const parent = isActive(options.within) ? context.active() : parentOf(options.parent);
  const span = tracer().startSpan(name, spanOptions(options), parent);
  return { span, context: trace.setSpan(parent, span) };
}

function isActive(traceId: string | undefined): boolean {
  return traceId !== undefined && trace.getActiveSpan()?.spanContext().traceId === traceId;
}

/** Runs work in a context, such as that of a span. */
export function contextWith<T>(inside: Context, work: () => T): T {
  return context.with(inside, work);
}

/** Runs work in no span, whatever is active: what polls for hours belongs to no trace. */
export function untraced<T>(work: () => T): T {
  return context.with(ROOT_CONTEXT, work);
}

/** The context under a `traceparent`; the active one when it is not given or malformed. */
export function parentOf(traceparent: string | undefined): Context {
  const remote = traceparent === undefined ? undefined : spanContextOf(traceparent);
  return remote ? trace.setSpanContext(ROOT_CONTEXT, remote) : context.active();
}

function spanOptions({ kind, attributes, links, startTime }: TracedOptions) {
  return {
    kind: kind ?? SpanKind.INTERNAL,
    ...(attributes && { attributes }),
    ...(links?.length && { links: linksOf(links) }),
    ...(startTime !== undefined && { startTime }),
  };
}

/** Links to the traces of these `traceparent`s; malformed ones are left out. */
export function linksOf(traceparents: readonly string[]): Link[] {
  return traceparents.flatMap((traceparent) => {
    const found = spanContextOf(traceparent);
    return found ? [{ context: found }] : [];
  });
}

/** Marks a span as failed: `error.type` is our code where there is one, else the error's class. */
export function failSpan(span: Span, error: unknown): void {
  span.setAttribute('error.type', errorType(error));
  span.setStatus({ code: SpanStatusCode.ERROR });
}

/** A word of low cardinality for what went wrong: the `code` of our errors and of Node's, else the class. */
export function errorType(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '_OTHER';
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (typeof code === 'string' && codeForm.test(code)) return code;
  return typeof name === 'string' && codeForm.test(name) ? name : '_OTHER';
}

const codeForm = /^[A-Za-z][A-Za-z0-9_.]{0,63}$/;

const traceparentForm = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** A `traceparent` (W3C Trace Context, 3.2) as a span context; undefined when malformed. */
export function spanContextOf(traceparent: string): SpanContext | undefined {
  const match = traceparentForm.exec(traceparent);
  if (!match) return undefined;
  const found: SpanContext = {
    traceId: match[1] ?? '',
    spanId: match[2] ?? '',
    traceFlags: Number.parseInt(match[3] ?? '0', 16) & 1,
    isRemote: true,
  };
  return isSpanContextValid(found) ? found : undefined;
}

/** A span context as a `traceparent`; undefined when it is not valid, which is so without the preload. */
export function traceparentOf(found: SpanContext | undefined): string | undefined {
  if (!found || !isSpanContextValid(found)) return undefined;
  return `00-${found.traceId}-${found.spanId}-0${found.traceFlags & 1}`;
}
