import { createPrivateKey, createPublicKey, hash, type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import { decodeBase64, NoteError } from './note-error.ts';

/** Signs notes with an Ed25519 key under a name (C2SP signed-note). */
export interface Signer {
  readonly name: string;
  /** The signature line of a text, `— <name> <base64>`, without the newline at its end. */
  sign(text: string): string;
  /** The key for those who verify: `<name>+<key id, 8 hex digits>+<base64 of 0x01 and the public key>`. */
  readonly vkey: string;
  /** The bare Ed25519 public key, 32 bytes. */
  readonly publicKey: Buffer;
}

/** Verifies the signatures of one named key. */
export interface Verifier {
  readonly name: string;
  /** 8 hex digits: which of several keys of one name. */
  readonly keyId: string;
  /** Whether these are the 64 bytes that the key signs the text with. */
  verify(text: string, signature: Uint8Array): boolean;
}

/** Algorithm byte of Ed25519 in signed notes. */
const ED25519 = 0x01;
const KEY_BYTES = 32;

/** The DER that goes before the 32 bytes of a key (RFC 8410): Node takes Ed25519 keys in no shorter form. */
const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const spki = Buffer.from('302a300506032b6570032100', 'hex');

/** A new secret: the 32-byte seed of an Ed25519 key (RFC 8032). */
export function generateSeed(): Buffer {
  return randomBytes(KEY_BYTES);
}

/** Signer of a seed. One seed may sign under several names, one for each log. Throws RangeError for a seed of another length, NoteError for a bad name. */
export function signerOf(name: string, seed: Buffer): Signer {
  if (seed.length !== KEY_BYTES) throw new RangeError(`a seed has ${KEY_BYTES} bytes, not ${seed.length}`);
  assertName(name);
  const key = createPrivateKey({ key: Buffer.concat([pkcs8, seed]), format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES);
  const keyId = keyIdOf(name, publicKey);
  return {
    name,
    sign: (text) => `— ${name} ${Buffer.concat([keyId, sign(null, Buffer.from(text), key)]).toString('base64')}`,
    vkey: `${name}+${keyId.toString('hex')}+${Buffer.concat([Buffer.of(ED25519), publicKey]).toString('base64')}`,
    publicKey,
  };
}

/** Verifier of a `vkey`. Throws NoteError `malformed_key` when it is none, is not Ed25519, or its key id is not its own. */
export function verifierOf(vkey: string): Verifier {
  const match = /^([^+]*)\+([0-9a-f]{8})\+(.*)$/s.exec(vkey);
  const [, name = '', keyId = '', encoded = ''] = match ?? [];
  const key = decodeBase64(encoded);
  if (!match || key?.length !== 1 + KEY_BYTES || key[0] !== ED25519) {
    throw new NoteError('malformed_key', 'the key is not <name>+<key id>+<base64 of an Ed25519 key>');
  }
  assertName(name);
  const publicKey = key.subarray(1);
  if (keyIdOf(name, publicKey).toString('hex') !== keyId) {
    throw new NoteError('malformed_key', 'the key id is not that of this name and key');
  }
  const object: KeyObject = createPublicKey({ key: Buffer.concat([spki, publicKey]), format: 'der', type: 'spki' });
  return { name, keyId, verify: (text, signature) => verify(null, Buffer.from(text), object, signature) };
}

/** The first 4 bytes of SHA-256(name || 0x0A || 0x01 || public key). */
function keyIdOf(name: string, publicKey: Buffer): Buffer {
  return hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(ED25519), publicKey]), 'buffer').subarray(0, 4);
}

/** Whether a text can be the name of a key: not empty, no white space, no plus (and, stricter than C2SP, no control character). */
export function isKeyName(name: string): boolean {
  return name !== '' && name.isWellFormed() && !/[\p{White_Space}\p{Cc}+]/u.test(name);
}

function assertName(name: string): void {
  if (!isKeyName(name)) {
    throw new NoteError('malformed_key', 'the name of a key is empty or has a space, a plus or a control character in it');
  }
}
