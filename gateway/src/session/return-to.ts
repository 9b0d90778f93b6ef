import { AppError } from '@biz/errors';

/** Where a login ends when nobody says. */
const fallback = '/v1/me';
const maxLength = 2_048;
/** Any host will do: only what stays on it is a local path. */
const here = new URL('https://gateway.invalid/');

/**
 * The local path that a login shall end at, as a browser would read it. Throws AppError `invalid_request` for everything that leads
 * elsewhere (another host, another scheme, a path that a browser reads as a host) or into a login again.
 */
export function localPath(value: unknown): string {
  if (value === undefined) return fallback;
  if (typeof value === 'string' && value.startsWith('/') && value.length <= maxLength && URL.canParse(value, here.href)) {
    const { origin, pathname, search, hash } = new URL(value, here);
    // "/.//host" is normalised to "//host", which means another host
    if (origin === here.origin && !pathname.startsWith('//') && !pathname.startsWith('/v1/auth/')) return pathname + search + hash;
  }
  const message = 'must be a path of this host, such as /teams';
  throw new AppError('invalid_request', `return_to ${message}.`, { faults: [{ path: '/return_to', message }] });
}
