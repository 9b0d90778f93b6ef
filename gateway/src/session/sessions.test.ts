import { randomBytes } from 'node:crypto';
import { AppError } from '@biz/errors';
import type { Grant, PersonGrants } from '@biz/keycloak';
import { beforeEach, describe, expect, it } from 'vitest';
import { createSealer } from './seal.ts';
import { createSessions, type SessionOptions } from './sessions.ts';

// The clock and Keycloak are the test's here; session.int.test.ts has the real ones.
const start = 1_800_000_000;
const key = randomBytes(32);
let clock: number;
let serial: number;
let refreshed: string[];
let ended: string[];
let fault: AppError | undefined;

const now = () => clock * 1000;
const grant = (more: Partial<Grant> = {}): Grant => ({
  accessToken: `access-${++serial}`,
  accessIssuedAt: clock,
  accessExpiresAt: clock + 300,
  refreshToken: `refresh-${serial}`,
  refreshExpiresAt: undefined,
  ...more,
});
let next: () => Grant;
const grants: PersonGrants = {
  adopt: async () => next(),
  refresh: async (token) => {
    refreshed.push(token);
    if (fault) throw fault;
    return next();
  },
  logout: async (token) => {
    ended.push(token);
    if (fault) throw fault;
  },
};
const make = (more: Partial<SessionOptions> = {}) =>
  createSessions({
    sealer: createSealer([key], now),
    grants,
    idleSeconds: 1_800,
    absoluteSeconds: 36_000,
    refreshAheadSeconds: 60,
    maxLength: 20_000,
    now,
    ...more,
  });
const tokens = { access_token: '' };

beforeEach(() => {
  [clock, serial, refreshed, ended, fault, next] = [start, 0, [], [], undefined, grant];
});

describe('renewal', () => {
  it('comes a minute before the token ends', async () => {
    const sessions = make();
    const sealed = await sessions.open(tokens);
    clock = start + 239;
    expect(await sessions.resume(sealed)).toMatchObject({ session: { accessToken: 'access-1' }, sealed: undefined });
    clock = start + 240;
    expect(await sessions.resume(sealed)).toMatchObject({ session: { accessToken: 'access-2' }, sealed: expect.any(String) });
    expect(refreshed).toEqual(['refresh-1']);
  });

  it('comes in the second half of a token that lives for less than two minutes', async () => {
    next = () => grant({ accessExpiresAt: clock + 40 });
    const sessions = make();
    const sealed = await sessions.open(tokens);
    clock = start + 19;
    await sessions.resume(sealed);
    expect(refreshed).toEqual([]);
    clock = start + 20;
    await sessions.resume(sealed);
    expect(refreshed).toEqual(['refresh-1']);
  });

  it('is one for all requests that come with the same session, also a little later', async () => {
    const sessions = make();
    const sealed = await sessions.open(tokens);
    clock = start + 250;
    const answers = await Promise.all(Array.from({ length: 20 }, () => sessions.resume(sealed)));
    answers.push(await sessions.resume(sealed));
    expect(new Set(answers.map((answer) => answer.sealed)).size).toBe(1);
    expect(refreshed).toEqual(['refresh-1']);
  });

  it('goes on from the newest refresh token', async () => {
    const sessions = make();
    let sealed = await sessions.open(tokens);
    for (const at of [250, 500, 750]) {
      clock = start + at;
      sealed = (await sessions.resume(sealed)).sealed ?? sealed;
    }
    expect(refreshed).toEqual(['refresh-1', 'refresh-2', 'refresh-3']);
  });

  it.each(['unavailable', 'token_expired'] as const)(
    'that fails (%s) is not told while the token is good, and is when it ends',
    async (code) => {
      const sessions = make();
      const sealed = await sessions.open(tokens);
      fault = new AppError(code, 'x');
      clock = start + 299;
      expect(await sessions.resume(sealed)).toMatchObject({ session: { accessToken: 'access-1' }, sealed: undefined });
      clock = start + 300;
      await expect(sessions.resume(sealed)).rejects.toMatchObject({ code });
    },
  );

  it('is tried again after Keycloak was away, and not after it refused', async () => {
    const sessions = make();
    const sealed = await sessions.open(tokens);
    clock = start + 300;
    fault = new AppError('unavailable', 'x');
    await expect(sessions.resume(sealed)).rejects.toMatchObject({ code: 'unavailable' });
    fault = new AppError('token_expired', 'x');
    await expect(sessions.resume(sealed)).rejects.toMatchObject({ code: 'token_expired' });
    await expect(sessions.resume(sealed)).rejects.toMatchObject({ code: 'token_expired' });
    expect(refreshed).toHaveLength(2);
  });
});

describe('a session', () => {
  it('ends when it was idle, and each use puts that off', async () => {
    const sessions = make();
    let sealed = await sessions.open(tokens);
    clock = start + 1_700;
    sealed = (await sessions.resume(sealed)).sealed ?? '';
    clock = start + 1_700 + 1_799;
    sealed = (await sessions.resume(sealed)).sealed ?? '';
    clock += 1_800;
    await expect(sessions.resume(sealed)).rejects.toMatchObject({ code: 'token_expired' });
  });

  it('is kept alive also by tokens that live longer than it may be idle', async () => {
    next = () => grant({ accessExpiresAt: clock + 86_400 });
    const sessions = make();
    const first = await sessions.open(tokens);
    clock = start + 600;
    const { sealed = '' } = await sessions.resume(first);
    clock = start + 2_000;
    expect(await sessions.resume(sealed)).toMatchObject({ session: { accessToken: 'access-1' } });
    expect(refreshed).toEqual([]);
  });

  it('ends after its longest time, however much it is used', async () => {
    const sessions = make();
    let sealed = await sessions.open(tokens);
    for (clock = start; clock < start + 36_000; clock += 200) sealed = (await sessions.resume(sealed)).sealed ?? sealed;
    clock = start + 36_000;
    await expect(sessions.resume(sealed)).rejects.toMatchObject({ code: 'token_expired' });
  });

  it('ends with its refresh token, when that says so', async () => {
    next = () => grant({ refreshExpiresAt: clock + 100 });
    const sessions = make();
    const sealed = await sessions.open(tokens);
    expect((await sessions.resume(sealed)).session.expiresAt).toBe(start + 100);
  });

  it('is not made of tokens that no browser can keep', async () => {
    next = () => grant({ accessToken: 'x'.repeat(20_000) });
    await expect(make().open(tokens)).rejects.toMatchObject({ code: 'login_failed' });
  });
});

describe('a session that was closed', () => {
  it('is over here at once, whoever has a copy, and Keycloak is told of the newest token', async () => {
    const sessions = make();
    const old = await sessions.open(tokens);
    clock = start + 250;
    const { sealed = '' } = await sessions.resume(old);
    await sessions.close(old);
    expect(ended).toEqual(['refresh-2']);
    for (const copy of [old, sealed]) await expect(sessions.resume(copy)).rejects.toMatchObject({ code: 'token_expired' });
  });

  it('is over here also when Keycloak is away, which is told', async () => {
    const sessions = make();
    const sealed = await sessions.open(tokens);
    fault = new AppError('unavailable', 'x');
    await expect(sessions.close(sealed)).rejects.toMatchObject({ code: 'unavailable' });
    fault = undefined;
    await expect(sessions.resume(sealed)).rejects.toMatchObject({ code: 'token_expired' });
  });

  it('because another took its place is over here, and Keycloak is not told: it may carry the other', async () => {
    const sessions = make();
    const [former, present] = [await sessions.open(tokens), await sessions.open(tokens)];
    await sessions.replace(former);
    await expect(sessions.resume(former)).rejects.toMatchObject({ code: 'token_expired' });
    await expect(sessions.resume(present)).resolves.toBeDefined();
    expect(ended).toEqual([]);
  });

  it('and one that is none is no error', async () => {
    await expect(make().close('x')).resolves.toBeUndefined();
    await expect(make().replace('x')).resolves.toBeUndefined();
  });
});
