import type { ErrorCode } from '@biz/errors';

/**
 * What security events are about, by the users' names (requirement S2). On the topic each has the same name in the form of every event
 * type: `LOGIN_FAILED` is `security.login_failed`, `EMPRESA` is `company` and `CLIENTE` is `client`.
 */
export const securityEventTypes = [
  'LOGIN_SUCCESS',
  'LOGIN_FAILED',
  'LOGOUT',
  'TOKEN_REFRESHED',
  'TOKEN_EXPIRED',
  'TOKEN_INVALID',
  'ACCESS_GRANTED',
  'ACCESS_DENIED_NO_ROLE',
  'ACCESS_DENIED_NO_EMPRESA',
  'ACCESS_DENIED_WRONG_EMPRESA',
  'ACCESS_DENIED_WRONG_CLIENTE',
] as const;
export type SecurityEventType = (typeof securityEventTypes)[number];

export const severities = ['INFO', 'WARNING', 'ERROR', 'CRITICAL'] as const;
export type Severity = (typeof severities)[number];

/** An attempt at another tenant's data is critical, whoever made it; other refusals and failed logins are warnings. */
const severityByType: Record<SecurityEventType, Severity> = {
  LOGIN_SUCCESS: 'INFO',
  LOGIN_FAILED: 'WARNING',
  LOGOUT: 'INFO',
  TOKEN_REFRESHED: 'INFO',
  TOKEN_EXPIRED: 'WARNING',
  TOKEN_INVALID: 'WARNING',
  ACCESS_GRANTED: 'INFO',
  ACCESS_DENIED_NO_ROLE: 'WARNING',
  ACCESS_DENIED_NO_EMPRESA: 'WARNING',
  ACCESS_DENIED_WRONG_EMPRESA: 'CRITICAL',
  ACCESS_DENIED_WRONG_CLIENTE: 'CRITICAL',
};

export function severityOf(type: SecurityEventType): Severity {
  return severityByType[type];
}

/** Whether what the event is about was allowed or went well. */
export function isSuccess(type: SecurityEventType): boolean {
  return severityByType[type] === 'INFO';
}

/** Refusals of the gateway and the services, by their error code. `token_missing` is none: nobody claimed to be anybody. */
const typeByCode: Partial<Record<ErrorCode, SecurityEventType>> = {
  token_expired: 'TOKEN_EXPIRED',
  token_invalid: 'TOKEN_INVALID',
  no_role: 'ACCESS_DENIED_NO_ROLE',
  no_company: 'ACCESS_DENIED_NO_EMPRESA',
  wrong_company: 'ACCESS_DENIED_WRONG_EMPRESA',
  wrong_client: 'ACCESS_DENIED_WRONG_CLIENTE',
};

export function refusalType(code: ErrorCode): SecurityEventType | undefined {
  return typeByCode[code];
}

/** `security.login_failed` of `LOGIN_FAILED`. */
export function eventName(type: SecurityEventType): string {
  return `security.${type
    .toLowerCase()
    .replace(/empresa$/, 'company')
    .replace(/cliente$/, 'client')}`;
}

const typeByName = new Map(securityEventTypes.map((type) => [eventName(type), type]));

/** `LOGIN_FAILED` of `security.login_failed`; undefined for what is no security event. */
export function typeOfName(name: string): SecurityEventType | undefined {
  return typeByName.get(name);
}
