import { AppError } from '@biz/errors';
import type { Contract, MethodModel } from '@biz/protos';
import { assertMay } from '@biz/rpc';
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import { compileAnswer } from './answer.ts';
import { assertBodyHeaders, bodyTypes } from './body.ts';
import { callContext } from './context.ts';
import { describeRoute } from './openapi.ts';
import { compileRequest } from './request.ts';
import type { SecurityEvents } from './security/index.ts';
import type { Identify } from './session/identify.ts';
import { compileStream, isEventStream } from './stream.ts';
import type { Upstream } from './upstream.ts';

export type RouteParts = {
  readonly contract: Contract;
  readonly identify: Identify;
  readonly upstream: Upstream;
  readonly securityEvents: SecurityEvents;
};

/** Every method of the contract that has a `google.api.http`. */
export function httpMethods(contract: Contract): MethodModel[] {
  return contract.services.flatMap(({ methods }) => methods).filter(({ http }) => http);
}

/** Makes a route of every method of the contract; nothing here knows a particular one. */
export function addContractRoutes(app: FastifyInstance, parts: RouteParts): void {
  const closing = new AbortController();
  app.addHook('preClose', async () => closing.abort());
  for (const method of httpMethods(parts.contract)) addRoute(app, method, { ...parts, closing: closing.signal });
}

/** `closing` is aborted when the gateway stops. */
type OwnParts = RouteParts & { readonly closing: AbortSignal };

function addRoute(app: FastifyInstance, method: MethodModel, parts: OwnParts): void {
  const { identify, upstream, securityEvents } = parts;
  if (!method.http) return;
  const read = compileRequest(method);
  const answered = method.responseStream ? streamed(method, parts) : single(method, upstream);
  const granted = securityEvents.granting(method);
  const types = bodyTypes[method.http.verb === 'patch' ? 'patch' : 'json'];
  const hasBody = method.http.verb !== 'get';
  app.route({
    method: method.http.verb.toUpperCase() as HTTPMethods,
    url: routePattern(method.http.path),
    schema: describeRoute(method),
    exposeHeadRoute: !method.responseStream, // the framework would go through the whole stream to answer HEAD
    // who calls is known before a byte of the body is read
    onRequest: async (request, reply) => {
      request.call = callContext(request, await identify(request, reply), method);
      assertMay(method, request.call);
      if (hasBody) assertBodyHeaders(request.headers, types);
    },
    handler: async (request, reply) => {
      const sent = await answered(request, reply, read(request));
      granted?.(request);
      return sent;
    },
  });
}

type Answered = (request: FastifyRequest, reply: FastifyReply, message: object) => Promise<FastifyReply>;

function single(method: MethodModel, upstream: Upstream): Answered {
  const send = compileAnswer(method);
  return async (request, reply, message) => {
    const answer = await upstream.call(method, message, callOf(request), gone(reply));
    return send(reply, answer, request.params);
  };
}

function streamed(method: MethodModel, { upstream, closing }: OwnParts): Answered {
  const send = compileStream(method, closing);
  const isLive = isEventStream(method);
  return (request, reply, message) => {
    const signal = gone(reply);
    const options = isLive ? { signal: AbortSignal.any([signal, closing]), deadline: endOfToken(request) } : { signal };
    return send(request, reply, upstream.stream(method, message, callOf(request), options));
  };
}

/** A token that is forgiven for being over by a little still gets an answer, in milliseconds. */
const shortestMs = 5_000;

/** A stream of events goes on for as long as its token is good: whoever may not see more has to be seen leaving. */
function endOfToken({ principal }: FastifyRequest): Date {
  return new Date(Math.max(principal?.expiresAt ?? 0, Date.now() + shortestMs));
}

function callOf(request: FastifyRequest) {
  if (!request.call) throw new Error('A route of the contract was reached without a call context.');
  return request.call;
}

/** Aborted when the client goes away before its answer. The framework's own signal is aborted as soon as a body was read. */
function gone({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort();
  });
  return controller.signal;
}

/** `/v1/teams/{id}` as Fastify writes it: `/v1/teams/:id`. */
export function routePattern(path: string): string {
  return path.replaceAll(':', '::').replaceAll(/\{([^}]+)\}/g, ':$1');
}

const verbs: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];

/** Answers 405 with `Allow` (RFC 9110, 15.5.6) for the other methods of known paths. To be called after all routes were added. */
export function refuseOtherMethods(app: FastifyInstance, paths: readonly string[]): void {
  for (const url of new Set(paths)) {
    const allowed = verbs.filter((verb) => app.hasRoute({ method: verb, url }));
    const allow = allowed.join(', ');
    app.route({
      method: verbs.filter((verb) => !allowed.includes(verb)),
      url,
      schema: { hide: true },
      onRequest: async (_request, reply) => {
        reply.header('allow', allow);
        throw new AppError('method_not_allowed', `This resource has the methods ${allow}.`);
      },
      handler: () => undefined,
    });
  }
}
