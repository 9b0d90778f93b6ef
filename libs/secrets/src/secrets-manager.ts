/** What a secret manager has to do here. Another one than AWS's is another file like aws.ts. */
export interface SecretsManager extends Disposable {
  /** The secret as it is now: text, or bytes where it was stored as such. Throws a SecretFault, which never tells any of it. */
  read(id: string, signal: AbortSignal): Promise<string | Uint8Array>;
}

/** Why a secret cannot be had, in words that go behind "the secret X". */
export class SecretFault extends Error {
  override name = 'SecretFault';
}
