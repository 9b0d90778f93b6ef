import { hash, randomBytes } from 'node:crypto';
import { AppError } from '@biz/errors';
import type { Grant, PersonGrants, TokenAnswer } from '@biz/keycloak';
import { LRUCache } from 'lru-cache';
import { SealError, type Sealer } from './seal.ts';

export type SessionOptions = {
  readonly sealer: Sealer;
  readonly grants: PersonGrants;
  /** A session that is not used for so long has ended, in seconds. */
  readonly idleSeconds: number;
  /** A session ends after this, whatever happens, in seconds. */
  readonly absoluteSeconds: number;
  /** An access token is renewed so long before it ends, at most half of its life, in seconds. */
  readonly refreshAheadSeconds: number;
  /** Longest sealed session, in characters. */
  readonly maxLength: number;
  readonly now?: () => number;
};

/** A person's session; times in seconds since 1970. */
export type Session = Grant & {
  /** New at each login. */
  readonly id: string;
  readonly startedAt: number;
  /** When it ends unless it is used. */
  readonly expiresAt: number;
};

export type Resumed = {
  readonly session: Session;
  /** What the browser shall keep from now on, when that has changed. */
  readonly sealed: string | undefined;
};

export type Sessions = {
  /** A new session with the tokens of a code exchange, sealed. Rejects with what is wrong with the tokens. */
  open(answer: TokenAnswer): Promise<string>;
  /** A sealed session, renewed when it is time. Rejects with AppError `token_expired` (over), `token_invalid` (not ours), `unavailable`. */
  resume(sealed: string): Promise<Resumed>;
  /** Refuses a session here from now on: another has taken its place. */
  replace(sealed: string): Promise<void>;
  /** Ends a session here and in Keycloak; one that is over is no error. Rejects with AppError `unavailable` when Keycloak was not told. */
  close(sealed: string): Promise<void>;
};

/** Renewals under way, and done within the last minute: a browser goes on sending what it had until our answer has reached it. */
const rememberedMs = 60_000;
const maxRemembered = 20_000;
/** Sessions closed here that are remembered; of more, the oldest are refused by Keycloak only. */
const maxClosed = 100_000;

/**
 * Sessions that the browser carries, sealed: tokens and times, nothing is kept here, so any gateway with the key serves them. Requests that
 * find an access token about to end share one refresh. Sessions closed here are refused here at once, and by every gateway when their access
 * token ends, since Keycloak renews it for none.
 */
export function createSessions(options: SessionOptions): Sessions {
  const { sealer, grants, now = Date.now } = options;
  const renewals = new LRUCache<string, Promise<Resumed>>({ max: maxRemembered, ttl: rememberedMs });
  // every copy of a session ends by itself when it was idle for that long
  const closed = new LRUCache<string, true>({ max: maxClosed, ttl: options.idleSeconds * 1000 });
  const seconds = () => Math.floor(now() / 1000);

  const keep = async (grant: Grant, { id, startedAt }: Pick<Session, 'id' | 'startedAt'>): Promise<Required<Resumed>> => {
    const ends = [startedAt + options.absoluteSeconds, seconds() + options.idleSeconds, grant.refreshExpiresAt ?? Number.POSITIVE_INFINITY];
    const session = { ...grant, id, startedAt, expiresAt: Math.min(...ends) };
    const sealed = await sealer.seal('session', { ...session, expiresAt: undefined, sealedAt: seconds() }, session.expiresAt);
    if (sealed.length > options.maxLength) throw new AppError('login_failed', 'The token is too long for a session: too many companies.');
    return { session, sealed };
  };

  const refresh = async (session: Session): Promise<Resumed> => {
    try {
      return await keep(await grants.refresh(session.refreshToken), session);
    } catch (error) {
      // as long as the token is good: Keycloak may be back in time, or another gateway may have been first with a refresh token for one use
      if (session.accessExpiresAt > seconds()) return { session, sealed: undefined };
      throw error;
    }
  };

  /** One refresh for all requests that come with the same refresh token; one that failed for want of Keycloak is tried again. */
  const renew = (session: Session): Promise<Resumed> => {
    const key = digest(session.refreshToken);
    const known = renewals.get(key);
    if (known) return known;
    const renewal = refresh(session);
    renewals.set(key, renewal);
    renewal.then(
      ({ sealed }) => sealed === undefined && renewals.delete(key),
      (error: unknown) => error instanceof AppError && error.code === 'unavailable' && renewals.delete(key),
    );
    return renewal;
  };

  const read = async (sealed: string): Promise<Session & { sealedAt: number }> => {
    const content = await sealer.open('session', sealed).catch((error: unknown) => {
      throw error instanceof SealError && error.reason === 'expired'
        ? ended()
        : new AppError('token_invalid', 'The session is not one of ours.');
    });
    return { ...content, expiresAt: content.exp } as unknown as Session & { sealedAt: number };
  };

  const refuse = (session: Session | undefined): void => {
    if (session) closed.set(session.id, true);
  };

  return {
    async open(answer) {
      const { sealed } = await keep(await grants.adopt(answer), { id: randomBytes(16).toString('base64url'), startedAt: seconds() });
      return sealed as string;
    },
    async resume(sealed) {
      const session = await read(sealed);
      if (closed.has(session.id)) throw ended();
      const life = session.accessExpiresAt - session.accessIssuedAt;
      const due = session.accessExpiresAt - Math.min(options.refreshAheadSeconds, life / 2);
      if (seconds() >= due) return renew(session);
      // access tokens that live longer than a session may be idle
      if (seconds() - session.sealedAt > options.idleSeconds / 4) return keep(session, session);
      return { session, sealed: undefined };
    },
    async replace(sealed) {
      refuse(await read(sealed).catch(() => undefined));
    },
    async close(sealed) {
      const session = await read(sealed).catch(() => undefined);
      refuse(session);
      if (!session) return;
      const renewed = await renewals.get(digest(session.refreshToken))?.catch(() => undefined);
      await grants.logout((renewed?.session ?? session).refreshToken);
    },
  };
}

function ended(): AppError {
  return new AppError('token_expired', 'The session has ended; log in again.');
}

function digest(refreshToken: string): string {
  return hash('sha256', refreshToken, 'base64url');
}
