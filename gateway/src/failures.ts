import { AppError } from '@biz/errors';
import type { Log } from '@biz/service';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { clientAddress } from './context.ts';
import { problemOf, requestError } from './problem.ts';
import { isRefusal, type OnRefusal } from './refusals.ts';
import type { SecurityEvents } from './security/index.ts';
import { countRefusal } from './telemetry.ts';

/** Every error of every route leaves as a problem document here; refusals are told to `onRefusal` and as security events, what we broke to the log. */
export function answerErrors(app: FastifyInstance, parts: { log: Log; onRefusal: OnRefusal; securityEvents: SecurityEvents }): void {
  const { log, onRefusal, securityEvents } = parts;
  app.setErrorHandler((thrown, request, reply) => {
    const error = requestError(thrown);
    const told = error.withheld ?? error.code;
    if (isRefusal(told)) {
      onRefusal(refusalOf(error, request));
      countRefusal(told);
    }
    securityEvents.refused(error, request);
    logFailure(error, request, log);
    return sendProblem(reply, request, error);
  });
  app.setNotFoundHandler((request, reply) => sendProblem(reply, request, new AppError('not_found', 'There is no such resource.')));
}

/** Sends the problem document of an error; `more` are members beside the common ones. */
export function sendProblem(reply: FastifyReply, request: FastifyRequest, error: AppError, more: object = {}): FastifyReply {
  request.failed = error.code;
  const problem = problemOf(error, request.trace.trace_id, { more });
  return reply.code(problem.status).headers(problem.headers).send(problem.body);
}

function refusalOf(error: AppError, request: FastifyRequest): Parameters<OnRefusal>[0] {
  return {
    code: error.withheld ?? error.code,
    detail: error.message,
    actor: request.principal?.id,
    company_id: request.call?.company_id ?? undefined,
    method: request.method,
    route: request.routeOptions.url ?? '',
    ip: clientAddress(request),
    trace_id: request.trace.trace_id,
  };
}

function logFailure(error: AppError, request: FastifyRequest, log: Log): void {
  const entry = { code: error.code, route: request.routeOptions.url, trace_id: request.trace.trace_id };
  if (error.code === 'internal') log.error({ ...entry, err: error.cause ?? error }, 'failed');
  else if (error.code === 'unavailable' || error.code === 'timeout') log.warn({ ...entry, detail: error.message }, 'a part is away');
}
