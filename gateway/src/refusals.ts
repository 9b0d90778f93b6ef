import type { ErrorCode } from '@biz/errors';
import type { Log } from '@biz/service';

/** A caller was turned away: what security events are made of. Never holds a token. */
export type Refusal = {
  readonly code: ErrorCode;
  readonly detail: string;
  /** The caller, when the token was good. */
  readonly actor: string | undefined;
  readonly company_id: string | undefined;
  readonly method: string;
  /** Pattern of the route, such as `/v1/teams/:id`. */
  readonly route: string;
  readonly ip: string;
  readonly trace_id: string;
};

/** Told of each refusal, the gateway's own and the services'; must not throw and must not be waited for. */
export type OnRefusal = (refusal: Refusal) => void;

const refusalCodes: ReadonlySet<ErrorCode> = new Set([
  'token_missing',
  'token_invalid',
  'token_expired',
  'no_role',
  'no_company',
  'wrong_company',
  'wrong_client',
  'cross_site_request',
]);

/** Whether an error turns the caller away for who it is. */
export function isRefusal(code: ErrorCode): boolean {
  return refusalCodes.has(code);
}

/** The default: a line in the log. */
export function logRefusals(log: Log): OnRefusal {
  return (refusal) => log.warn(refusal, 'refused');
}
