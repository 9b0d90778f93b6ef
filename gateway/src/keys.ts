import { AppError } from '@biz/errors';
import { createRemoteJWKSet, customFetch, type ExportedJWKSCache, errors, type JWTVerifyGetKey, jwksCache } from 'jose';

export type KeySource = {
  /** The key that a token's header names. Throws a JOSEError when there is none, AppError `unavailable` when the key server is away. */
  readonly find: JWTVerifyGetKey;
  /** How long the keys in hand may still be used, in milliseconds; what was verified with them must not be believed for longer. */
  freshForMs(): number;
  /** Whether keys are there that may be used; asks for them when not. */
  ready(): Promise<boolean>;
};

export type KeySourceOptions = {
  readonly url: string;
  readonly cooldownMs: number;
  readonly maxAgeMs: number;
  readonly timeoutMs: number;
};

/** After a failed fetch the key server is left alone for this long, in milliseconds. */
const retryMs = 2_000;

/**
 * The identity provider's key set. An unknown key id causes one fetch a cooldown, however many ask; a key server that is away costs one
 * attempt every two seconds. Half-way through their age the keys are fetched anew in the background, so that an outage never finds them
 * about to expire.
 */
export function remoteKeys(options: KeySourceOptions): KeySource {
  const loaded = {} as ExportedJWKSCache; // jose notes here when it loaded them
  let failedAt = 0;
  const resting = () => Date.now() < failedAt + retryMs;
  const noteFailure = () => {
    if (!resting()) failedAt = Date.now();
  };
  const remote = createRemoteJWKSet(new URL(options.url), {
    cooldownDuration: options.cooldownMs,
    cacheMaxAge: options.maxAgeMs,
    timeoutDuration: options.timeoutMs,
    [jwksCache]: loaded,
    [customFetch]: async (url, init) => {
      if (resting()) throw new Error('The key server did not answer a moment ago.');
      return fetch(url, init);
    },
  });
  const freshForMs = () => (loaded.uat ?? 0) + options.maxAgeMs - Date.now();
  const refreshAhead = () => {
    if (remote.fresh && !remote.reloading && !resting() && freshForMs() < options.maxAgeMs / 2) remote.reload().catch(noteFailure);
  };
  return {
    freshForMs,
    find: async (header, token) => {
      refreshAhead();
      try {
        return await remote(header, token);
      } catch (error) {
        if (isAboutToken(error)) throw error;
        noteFailure();
        throw new AppError('unavailable', 'The keys of the identity provider cannot be read; try again in a moment.', { cause: error });
      }
    },
    ready: async () => {
      if (!remote.fresh) await remote.reload().catch(noteFailure);
      return remote.fresh;
    },
  };
}

/** Errors that say something of the token, not of the key server. */
function isAboutToken(error: unknown): boolean {
  return (
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys ||
    error instanceof errors.JOSENotSupported
  );
}
