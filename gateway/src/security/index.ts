import type { AppError } from '@biz/errors';
import type { Contract, MethodModel } from '@biz/protos';
import { serviceContext } from '@biz/rpc';
import { type Log, traceContext } from '@biz/service';
import type { FastifyRequest } from 'fastify';
import type { GatewayConfig } from '../config.ts';
import type { Upstream } from '../upstream.ts';
import { type Draft, grantDraft, refusalDraft } from './draft.ts';
import { createReporter } from './reporter.ts';
import { openingRoles } from './sensitive.ts';

/** Security events as the server tells of them; neither call waits for anything, nor throws. */
export type SecurityEvents = {
  /** A request was answered with this error; most errors are no security event. */
  refused(error: AppError, request: FastifyRequest): void;
  /** What to call when a read of this method was answered; undefined when it can open nothing personal. */
  granting(method: MethodModel): ((request: FastifyRequest) => void) | undefined;
};

const recorder = 'security';
const recordingService = 'biz.security.v1.RecordingService';

/** Events go to the security service. Without its address there are none, which the log says; refusals have their log lines anyway. */
export function securityEvents(
  config: GatewayConfig,
  parts: { readonly contract: Contract; readonly upstream: Upstream; readonly log: Log },
): SecurityEvents & AsyncDisposable {
  const { contract, upstream, log } = parts;
  if (!config.SERVICE_ADDRESSES[recorder]) {
    log.warn('no address of the security service: security events are only in this log');
    return { refused: () => {}, granting: () => undefined, [Symbol.asyncDispose]: async () => {} };
  }
  const method = contract.service(recordingService).methods.find(({ name }) => name === 'RecordSecurityEvents') as MethodModel;
  const reporter = createReporter({
    record: async (batch, signal) => {
      const events = batch.map((draft) => ({ ...draft, details: JSON.stringify(draft.details) }));
      await upstream.call(method, { events }, serviceContext('gateway', traceContext()), signal);
    },
    log,
    limit: config.SECURITY_EVENTS_WAITING,
    foldMs: config.SECURITY_EVENTS_FOLD_MS,
  });
  const report = (draft: Draft | undefined) => draft && reporter.report(draft);
  return {
    refused: (error, request) => report(refusalDraft(error, request)),
    granting: (method) => {
      const opening = openingRoles(method);
      if (opening.size === 0) return undefined;
      return (request) => {
        if (request.call?.roles.some((role) => opening.has(role))) report(grantDraft(request));
      };
    },
    [Symbol.asyncDispose]: () => reporter[Symbol.asyncDispose](),
  };
}
