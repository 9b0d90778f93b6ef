import { AppError } from '@biz/errors';
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose';

export type KeySource = {
  /** The key that a token's header names. Throws a JOSEError when there is none, AppError `unavailable` when the key server is away. */
  readonly find: JWTVerifyGetKey;
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
  const state = { fetchedAt: 0, failedAt: 0 };
  const resting = () => Date.now() < state.failedAt + retryMs;
  const remote = createRemoteJWKSet(new URL(options.url), {
    cooldownDuration: options.cooldownMs,
    cacheMaxAge: options.maxAgeMs,
    timeoutDuration: options.timeoutMs,
    [customFetch]: (url, init) => {
      if (resting()) throw new Error('The key server did not answer a moment ago.');
      state.fetchedAt = Date.now();
      return fetch(url, init);
    },
  });
  const noteFailure = () => {
    if (!resting()) state.failedAt = Date.now();
  };
  const refreshAhead = () => {
    if (!remote.fresh || remote.reloading || resting() || Date.now() < state.fetchedAt + options.maxAgeMs / 2) return;
    remote.reload().catch(noteFailure);
  };
  return {
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
