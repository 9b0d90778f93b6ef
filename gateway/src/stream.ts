import { pipeline, Readable } from 'node:stream';
import { constants, createGzip } from 'node:zlib';
import type { ErrorCode } from '@biz/errors';
import { type MethodModel, renderJson } from '@biz/protos';
import { negotiate } from '@fastify/accept-negotiator';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { contentTypeOf, dataOf, isHttpBody } from './answer.ts';
import { requestError } from './problem.ts';
import { tellRequest } from './telemetry.ts';

/** Sends messages as they come. Rejects with what the service says before the first one; afterwards an error breaks the transfer off. */
export type SendStream = (request: FastifyRequest, reply: FastifyReply, messages: AsyncIterable<object>) => Promise<FastifyReply>;

/**
 * Whether the answer is Server-Sent Events (WHATWG HTML, 9.2): bodies, to be continued by the header `Last-Event-ID`. Such a stream has no end of
 * its own and is never compressed: an event is of use at once, or not at all.
 */
export function isEventStream({ request, response, responseStream }: MethodModel): boolean {
  return responseStream && isHttpBody(response) && request.fields.some(({ rules }) => rules.header === 'last-event-id');
}

/**
 * Compiles the way from a stream of messages to HTTP: bodies as they stand, of the first one's content type (`google.api.HttpBody`), other
 * messages as JSON lines. Streams of events end once `closing` is aborted.
 */
export function compileStream(method: MethodModel, closing: AbortSignal): SendStream {
  const { response, rules } = method;
  const bodies = isHttpBody(response);
  const live = isEventStream(method);
  const bytes = bodies ? dataOf : (message: object) => Buffer.from(`${renderJson(response, message)}\n`);
  return async (request, reply, messages) => {
    const iterator = messages[Symbol.asyncIterator]();
    const first = await iterator.next();
    reply.code(rules.status).header('content-type', bodies ? contentTypeOf(first.value ?? {}) : 'application/x-ndjson; charset=utf-8');
    const ended = (code: ErrorCode) => live && (closing.aborted || code === 'unavailable');
    const source = Readable.from(chunks(request, reply, { first, iterator, bytes, ended }), { objectMode: false });
    if (!live) return reply.send(compressed(request, reply, source));
    tellRequest(request, reply, { status: rules.status });
    reply.header('x-accel-buffering', 'no'); // the word for it that proxies know (nginx and those that took it over)
    return reply.send(source);
  };
}

interface Messages {
  readonly first: IteratorResult<object>;
  readonly iterator: AsyncIterator<object>;
  readonly bytes: (message: object) => Buffer;
  /** Whether an error only means that we ended it ourselves, or that the client is to go on at another instance of the service. */
  readonly ended: (code: ErrorCode) => boolean;
}

async function* chunks(request: FastifyRequest, reply: FastifyReply, { first, iterator, bytes, ended }: Messages): AsyncGenerator<Buffer> {
  try {
    for (let next = first; !next.done; next = await iterator.next()) {
      const chunk = bytes(next.value);
      if (chunk.length) yield chunk;
    }
  } catch (thrown) {
    if (ended(requestError(thrown).code)) return;
    noteBroken(request, reply, thrown);
    throw thrown;
  } finally {
    await iterator.return?.();
  }
}

function noteBroken(request: FastifyRequest, reply: FastifyReply, thrown: unknown): void {
  const { code, message } = requestError(thrown);
  request.broken = code;
  // nothing was sent, so it still becomes a problem document, which is not compressed
  if (!reply.raw.headersSent) {
    reply.removeHeader('content-encoding');
    reply.raw.removeHeader('content-encoding');
  } else if (code !== 'cancelled') {
    request.log.warn({ code, detail: message, route: request.routeOptions.url, trace_id: request.trace.trace_id }, 'a stream broke off');
  }
}

/** With gzip when the client asks for it; each chunk can be read as soon as it came, and none is held back. */
function compressed(request: FastifyRequest, reply: FastifyReply, source: Readable): Readable {
  reply.header('vary', 'accept-encoding');
  const wanted = request.headers['accept-encoding'];
  if (typeof wanted !== 'string' || negotiate(wanted, ['gzip', 'identity']) !== 'gzip') return source;
  reply.header('content-encoding', 'gzip');
  const gzip = createGzip({ flush: constants.Z_SYNC_FLUSH });
  pipeline(source, gzip, () => {}); // an error of the source destroys `gzip` with it, which the framework sees
  return gzip;
}
