import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server, ServerOptions } from 'node:https';
import type { ErrorCode } from '@biz/errors';
import type { Contract } from '@biz/protos';
import type { CallContext, Certificates } from '@biz/rpc';
import { type Log, type TraceContext, traceContext } from '@biz/service';
import cookie from '@fastify/cookie';
import helmet from '@fastify/helmet';
import { type FastifyHttpsOptions, type FastifyInstance, type FastifyReply, type FastifyRequest, fastify, LogController } from 'fastify';
import type { Authenticate, Principal } from './auth.ts';
import { useBodyParsers } from './body.ts';
import type { GatewayConfig } from './config.ts';
import { addDocs, docPaths } from './docs.ts';
import { answerErrors, sendProblem } from './failures.ts';
import { bareHeaders, requestIdHeader } from './headers.ts';
import { addHealth, healthPaths } from './health.ts';
import { shedLoad } from './limits/pressure.ts';
import { limitRates } from './limits/rate.ts';
import { refuseConnection, requestError } from './problem.ts';
import type { Readiness } from './readiness.ts';
import type { OnRefusal } from './refusals.ts';
import { addContractRoutes, httpMethods, refuseOtherMethods, routePattern } from './routes.ts';
import type { SecurityEvents } from './security/index.ts';
import { createIdentify } from './session/identify.ts';
import { addMe, mePath } from './session/me.ts';
import { addSessionRoutes, type SessionParts, sessionPaths } from './session/routes.ts';
import { endOf, inRequest, openRequestSpan, type RequestSpan, tellRequest } from './telemetry.ts';
import { followCertificate, ownCertificate, secureContext } from './tls.ts';
import type { Upstream } from './upstream.ts';

declare module 'fastify' {
  interface FastifyRequest {
    trace: TraceContext;
    /** Set when the token was good. */
    principal: Principal | null;
    /** Set when the caller's company was found. */
    call: CallContext | null;
    /** Why a streamed answer was broken off. */
    broken: ErrorCode | null;
    /** What the request was answered with, when it was an error. */
    failed: ErrorCode | null;
    requestSpan: RequestSpan;
  }
}

export type ServerParts = {
  readonly config: GatewayConfig;
  readonly log: Log;
  readonly contract: Contract;
  readonly authenticate: Authenticate;
  /** What logins of people need; without it only bearer tokens are taken. */
  readonly session: SessionParts | undefined;
  readonly upstream: Upstream;
  readonly readiness: Readiness;
  readonly onRefusal: OnRefusal;
  readonly securityEvents: SecurityEvents;
};

/** Largest request line and headers together, in bytes; above the longest token, so that a token too long is told as such. */
const maxHeaderBytes = 32 * 1024;
/** Longest path parameter, in characters. */
const maxParamLength = 512;

/** The HTTPS server with every route of the contract, the API document and the health endpoints; not yet listening. */
export async function createServer(parts: ServerParts): Promise<FastifyInstance> {
  const { config, log, contract } = parts;
  const certificates = ownCertificate(config, log);
  const app = fastify(serverOptions(config, log, certificates)) as unknown as FastifyInstance;
  followCertificate(app, certificates);
  app.decorateRequest('trace');
  app.decorateRequest('principal', null);
  app.decorateRequest('session', null);
  app.decorateRequest('call', null);
  app.decorateRequest('broken', null);
  app.decorateRequest('failed', null);
  app.decorateRequest('requestSpan');
  app.setValidatorCompiler(() => () => true); // request.ts does it, for all parts at once
  app.setSerializerCompiler(() => String); // answers are JSON text already
  app.server.maxConnections = config.MAX_CONNECTIONS;
  cutStalled(app, config.STREAM_STALL_MS);
  useBodyParsers(app);
  answerErrors(app, parts);
  app.addHook('onRequest', (request, reply, done) => {
    openTrace(request, reply);
    inRequest(request, done);
  });
  logAccess(app, log);
  await app.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] } },
  });
  await app.register(cookie);
  await shedLoad(app, config, log);
  const limited = await limitRates(app, config, log);
  await addDocs(app, contract, config.PUBLIC_URL);
  addHealth(app, parts.readiness);
  const identify = limited(createIdentify(parts.authenticate, parts.session));
  addMe(app, identify);
  if (parts.session) addSessionRoutes(app, parts.session);
  addContractRoutes(app, { ...parts, identify });
  const paths = httpMethods(contract).flatMap(({ http }) => (http ? [routePattern(http.path)] : []));
  refuseOtherMethods(app, [...paths, ...docPaths, ...healthPaths, mePath, ...(parts.session ? sessionPaths : [])]);
  await app.ready();
  return app;
}

function serverOptions(config: GatewayConfig, log: Log, certificates: Certificates): FastifyHttpsOptions<Server> {
  const https: ServerOptions = {
    ...secureContext(certificates),
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: config.HEADERS_TIMEOUT_MS,
    handshakeTimeout: config.HEADERS_TIMEOUT_MS,
    requestTimeout: config.REQUEST_TIMEOUT_MS, // here, too: Node compares the two at once
    connectionsCheckingInterval: 1_000,
  };
  return {
    https,
    // the framework's own lines would hold URLs, whose query may hold personal data
    loggerInstance: log.child({}, { serializers: { req: () => undefined, res: () => undefined } }),
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (logger) => logger,
    genReqId: (request) => requestIdHeader(request.headers) ?? randomUUID(),
    trustProxy: config.TRUSTED_PROXIES.length ? [...config.TRUSTED_PROXIES] : false,
    bodyLimit: config.BODY_LIMIT,
    requestTimeout: config.REQUEST_TIMEOUT_MS,
    keepAliveTimeout: config.KEEP_ALIVE_MS,
    return503OnClosing: false, // what arrives while draining is still served; the connection closes after it
    routerOptions: { maxParamLength },
    clientErrorHandler: (error, socket) => {
      const { trace_id } = traceContext();
      const status = refuseConnection(error, socket, trace_id);
      if (status !== undefined) log.info({ status, code: error.code, trace_id }, 'unreadable request');
    },
    frameworkErrors: (error, request, reply) => {
      openTrace(request, reply);
      reply.headers(bareHeaders);
      const told = requestError(error);
      sendProblem(reply as unknown as FastifyReply, request, told);
      tellRequest(request, reply as unknown as FastifyReply, { status: reply.statusCode, code: told.code });
    },
  };
}

/**
 * Cuts a client off that takes nothing of its answer for `stallMs` milliseconds, so that it holds neither the answer nor a call of a service. The
 * server's own time limit would cut, too, who waits for a service that takes long or has nothing to say.
 */
function cutStalled({ server }: FastifyInstance, stallMs: number): void {
  server.on('request', (_request: IncomingMessage, response: ServerResponse) => {
    response.setTimeout(stallMs, () => {
      if (response.writableLength > 0) response.destroy();
    });
  });
}

function openTrace(request: FastifyRequest, reply: FastifyReply): void {
  const { traceparent } = request.headers;
  request.requestSpan = openRequestSpan(request);
  inRequest(request, () => {
    request.trace = traceContext(typeof traceparent === 'string' ? traceparent : undefined);
  });
  reply.header('x-trace-id', request.trace.trace_id);
  reply.header('x-request-id', request.id);
  reply.header('cache-control', 'no-store'); // answers hold personal data
}

/** One line a request, and the end of its span; the path as its pattern and no headers, since ids are enough to find the rest. */
function logAccess(app: FastifyInstance, log: Log): void {
  const tell = (request: FastifyRequest, reply: FastifyReply) => {
    const ended = endOf(request, reply);
    log.info(
      {
        method: request.method,
        route: request.routeOptions.url ?? null,
        status: ended.status,
        ms: Math.round(reply.elapsedTime * 10) / 10,
        trace_id: request.trace.trace_id,
        actor: request.principal?.id,
      },
      'answered',
    );
    tellRequest(request, reply, ended);
  };
  // the framework's `onResponse` is not called for an answer that was broken off
  app.addHook('onRequest', async (request, reply) => {
    reply.raw.once('close', () => inRequest(request, () => tell(request, reply)));
  });
}
