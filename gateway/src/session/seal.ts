import { hkdfSync } from 'node:crypto';
import { EncryptJWT, errors, jwtDecrypt } from 'jose';

/** What a sealed text is for; each has a key of its own, so that one is never taken for another. */
export type Purpose = 'login' | 'session';

/** A sealed text did not open: `expired` when it was good once, else `invalid`. */
export class SealError extends Error {
  override readonly name = 'SealError';
  readonly reason: 'expired' | 'invalid';

  constructor(reason: 'expired' | 'invalid') {
    super(`The sealed text is ${reason}.`);
    this.reason = reason;
  }
}

export type Sealer = {
  /** Encrypts and authenticates `content`; `expiresAt` in seconds since 1970. */
  seal(purpose: Purpose, content: Readonly<Record<string, unknown>>, expiresAt: number): Promise<string>;
  /** What was sealed. Rejects with SealError. */
  open(purpose: Purpose, text: string): Promise<Record<string, unknown>>;
};

type NamedKey = { readonly kid: string; readonly keys: Readonly<Record<Purpose, Uint8Array>> };

/**
 * Sealed texts are JWEs (RFC 7516, `dir` with A256GCM) whose header names the key. The first key seals, all of them open: to rotate, a new
 * key is added at the end everywhere, then moved to the front, and the old one is taken away once what it sealed has expired.
 */
export function createSealer(secrets: readonly Uint8Array[], now: () => number = Date.now): Sealer {
  const named = secrets.map(namedKey);
  const [first] = named;
  if (!first) throw new Error('Sealing needs a key.');
  return {
    seal: (purpose, content, expiresAt) =>
      new EncryptJWT(content)
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: first.kid })
        .setExpirationTime(expiresAt)
        .encrypt(first.keys[purpose]),
    async open(purpose, text) {
      try {
        const { payload } = await jwtDecrypt(text, ({ kid }) => keyOf(named, kid).keys[purpose], {
          keyManagementAlgorithms: ['dir'],
          contentEncryptionAlgorithms: ['A256GCM'],
          requiredClaims: ['exp'],
          currentDate: new Date(now()),
        });
        return payload;
      } catch (error) {
        // the cause is left out: it holds what was inside
        throw new SealError(error instanceof errors.JWTExpired ? 'expired' : 'invalid');
      }
    },
  };
}

function keyOf(named: readonly NamedKey[], kid: string | undefined): NamedKey {
  const found = named.find((candidate) => candidate.kid === kid);
  if (!found) throw new SealError('invalid');
  return found;
}

function namedKey(secret: Uint8Array): NamedKey {
  const derived = (what: string, length: number) => new Uint8Array(hkdfSync('sha256', secret, '', `biz-retail gateway ${what}`, length));
  return {
    kid: Buffer.from(derived('key id', 6)).toString('base64url'),
    keys: { login: derived('login', 32), session: derived('session', 32) },
  };
}
