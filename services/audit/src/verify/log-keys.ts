import { hash } from 'node:crypto';
import { type Checkpoint, NoteError, openCheckpoint, type Verifier, verifierOf } from '@biz/merkle';

const KEY_BYTES = 32;
/** Algorithm byte of Ed25519 in a vkey (C2SP signed-note). */
const ED25519 = Buffer.of(0x01);

/**
 * The public half of the key that signs all logs, each under its own origin `<prefix>/<log id>`. It is all that a verification needs of keys:
 * nothing here can sign or open anything.
 */
export class LogKeys {
  readonly prefix: string;
  readonly #publicKey: Buffer;
  readonly #verifiers = new Map<string, Verifier>();

  constructor(prefix: string, publicKey: Buffer) {
    if (publicKey.length !== KEY_BYTES) throw new Error(`an Ed25519 public key has ${KEY_BYTES} bytes, not ${publicKey.length}`);
    this.prefix = prefix;
    this.#publicKey = publicKey;
  }

  get publicKey(): string {
    return this.#publicKey.toString('base64');
  }

  /** The checkpoint in a note and its log. Throws NoteError when it is not signed by this key for this log, or for no log of ours. */
  open(note: string): Checkpoint & { log_id: string } {
    const [origin = ''] = note.split('\n', 1);
    const verifier = this.#verifierOf(origin);
    return { ...openCheckpoint(note, [verifier]), log_id: origin.slice(this.prefix.length + 1) };
  }

  #verifierOf(origin: string): Verifier {
    if (!origin.startsWith(`${this.prefix}/`) || origin.length === this.prefix.length + 1) {
      throw new NoteError('wrong_origin', `the checkpoint is not of a log of ${this.prefix}`);
    }
    let verifier = this.#verifiers.get(origin);
    if (verifier === undefined) {
      const key = Buffer.concat([ED25519, this.#publicKey]);
      const id = hash('sha256', Buffer.concat([Buffer.from(`${origin}\n`), key]), 'buffer').toString('hex', 0, 4);
      verifier = verifierOf(`${origin}+${id}+${key.toString('base64')}`);
      this.#verifiers.set(origin, verifier);
    }
    return verifier;
  }
}

/**
 * The key as an auditor may have noted it: the answer of `GET /v1/audit/verification-key`, a vkey of any log, or the 32 bytes in base64 or
 * hex (then `prefix` says what the logs are called). Throws an Error that says what was expected.
 */
export function readLogKeys(text: string, prefix: string): LogKeys {
  const trimmed = text.trim();
  if (trimmed.startsWith('{')) return keysOfAnswer(trimmed, prefix);
  const vkey = /^(.+)\/[^/+]+\+[0-9a-f]{8}\+([A-Za-z0-9+/=]+)$/.exec(trimmed);
  if (vkey) {
    verifierOf(trimmed);
    return new LogKeys(vkey[1] as string, Buffer.from(vkey[2] as string, 'base64').subarray(1));
  }
  const encoding = /^[0-9a-fA-F]{64}$/.test(trimmed) ? 'hex' : 'base64';
  const bytes = Buffer.from(trimmed, encoding);
  if (bytes.length !== KEY_BYTES || bytes.toString(encoding) !== (encoding === 'hex' ? trimmed.toLowerCase() : trimmed)) {
    throw new Error('the key is neither a vkey, nor an Ed25519 public key in base64 or hex, nor an answer of /v1/audit/verification-key');
  }
  return new LogKeys(prefix, bytes);
}

function keysOfAnswer(text: string, prefix: string): LogKeys {
  const answer = JSON.parse(text) as { public_key?: string; logs?: { log_id: string; origin: string }[] };
  const [log] = answer.logs ?? [];
  const named = log?.origin.endsWith(`/${log.log_id}`) ? log.origin.slice(0, -log.log_id.length - 1) : prefix;
  return new LogKeys(named, Buffer.from(answer.public_key ?? '', 'base64'));
}
