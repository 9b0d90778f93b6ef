import { AppError } from '@biz/errors';
import { createServiceAccount, type ServiceAccount } from '@biz/keycloak';

export type KeycloakOptions = {
  /** Without a path, for example `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly realm: string;
  /** Client with a service account that has `manage-users`, `view-users`, `query-users` and `view-events` of `realm-management`. */
  readonly clientId: string;
  readonly clientSecret: string;
  /** Longest wait for one answer, in milliseconds; 5,000 when not given (fault 11). */
  readonly timeoutMs?: number;
};

/** Keycloak took the request and said no: the same request will be refused again. `reason` holds no personal data. */
export class KeycloakRefusal extends Error {
  override readonly name = 'KeycloakRefusal';
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string) {
    super(`Keycloak refused with ${status}: ${reason}`);
    this.status = status;
    this.reason = reason;
  }
}

export type AdminRequest = { readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'; readonly path: string; readonly body?: object };

/** What an administrative request gave: the decoded body (undefined when empty), and the id of what was made. */
export type AdminAnswer = { readonly body: unknown; readonly createdId: string | undefined };

/** The admin REST API of one realm. */
export type KeycloakAdmin = {
  /**
   * Sends one request; `path` is below `/admin/realms/{realm}`. Throws KeycloakRefusal when the request itself is at fault (400, 409; 404
   * of a DELETE), AppError `unavailable` for what may pass: no connection, no answer in time, 5xx, no JSON, missing rights or realm.
   */
  send(request: AdminRequest): Promise<AdminAnswer>;
};

export function createKeycloakAdmin(options: KeycloakOptions): KeycloakAdmin {
  const { timeoutMs = 5_000 } = options;
  const account = createServiceAccount({ ...options, timeoutMs });
  const exchange = (request: AdminRequest) => askOnce(base, account, timeoutMs, request);
  const base = `${options.url}/admin/realms/${encodeURIComponent(options.realm)}`;
  return {
    async send(request) {
      const first = await exchange(request);
      // a token may have been revoked, or the realm started anew with other keys
      const response = first.status === 401 ? await exchange(request) : first;
      return answerOf(request, response);
    },
  };
}

async function askOnce(base: string, account: ServiceAccount, timeoutMs: number, request: AdminRequest): Promise<RawAnswer> {
  const token = await account.token();
  try {
    const response = await fetch(`${base}${request.path}`, {
      method: request.method,
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        authorization: `Bearer ${token}`,
        accept: 'application/json',
        ...(request.body && { 'content-type': 'application/json' }),
      },
      ...(request.body && { body: JSON.stringify(request.body) }),
    });
    if (response.status === 401) account.forget(token);
    return { status: response.status, location: response.headers.get('location'), text: await response.text() };
  } catch (error) {
    throw new AppError('unavailable', 'Keycloak is away.', { cause: error });
  }
}

function answerOf({ method }: AdminRequest, { status, location, text }: RawAnswer): AdminAnswer {
  const body = parse(text);
  if (status >= 200 && status < 300) {
    if (body === notJson) throw new AppError('unavailable', 'Keycloak answered something that is not JSON.');
    return { body, createdId: location?.split('/').at(-1) };
  }
  const refused = status === 400 || status === 409 || (status === 404 && method === 'DELETE');
  if (refused && body !== notJson) throw new KeycloakRefusal(status, reasonOf(body));
  throw new AppError('unavailable', `Keycloak answered ${status}.`);
}

const notJson = Symbol('not JSON');

function parse(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return notJson;
  }
}

/** Keycloak's own short text, with the name of the field but never its value (`params` may hold it). */
function reasonOf(body: unknown): string {
  const { errorMessage, error, field, errors } = (body ?? {}) as Record<string, unknown>;
  if (Array.isArray(errors) && errors.length > 0) return errors.map(reasonOf).join('; ').slice(0, 300);
  const text = [field, errorMessage ?? error].filter((part) => typeof part === 'string').join(': ');
  return text.slice(0, 300) || 'no reason given';
}

type RawAnswer = { status: number; location: string | null; text: string };
