import { hash } from 'node:crypto';

/** Bytes of one hash: SHA-256. */
export const HASH_BYTES = 32;

/** Root of a tree without leaves: SHA-256 of nothing (RFC 6962, section 2.1). */
export const EMPTY_ROOT: Buffer = hash('sha256', '', 'buffer');

/**
 * Hash of a leaf: SHA-256(0x00 || data) (RFC 6962, section 2.1). A string is hashed as UTF-8; a lone surrogate becomes U+FFFD there, so
 * texts that may hold one are escaped before (as @biz/json canonicalJson does).
 */
export function leafHash(data: string | Uint8Array): Buffer {
  if (typeof data === 'string') return hash('sha256', `\0${data}`, 'buffer');
  const prefixed = Buffer.allocUnsafe(data.length + 1);
  prefixed[0] = 0;
  prefixed.set(data, 1);
  return hash('sha256', prefixed, 'buffer');
}

/** Where a node's 65 bytes are put together: hashing is synchronous, so one place serves all. */
const node = Buffer.alloc(1 + 2 * HASH_BYTES, 1);

/** Hash of an inner node: SHA-256(0x01 || left || right) (RFC 6962, section 2.1). Throws RangeError when one is not 32 bytes long. */
export function nodeHash(left: Buffer, right: Buffer): Buffer {
  assertHash(left);
  assertHash(right);
  node.set(left, 1);
  node.set(right, 1 + HASH_BYTES);
  return hash('sha256', node, 'buffer');
}

/** Hash of the node above two that lie side by side in `hashes`, from the byte `at` on. */
export function pairHash(hashes: Buffer, at: number): Buffer {
  hashes.copy(node, 1, at, at + 2 * HASH_BYTES);
  return hash('sha256', node, 'buffer');
}

/** Root of the subtrees that lie side by side, largest first: each is the left brother of all that follow. */
export function foldRoots(hashes: readonly Buffer[]): Buffer {
  return hashes.reduceRight<Buffer | undefined>((right, left) => (right ? nodeHash(left, right) : left), undefined) ?? EMPTY_ROOT;
}

/** Throws RangeError unless each is the length of a hash: a wrong one would make a tree that nobody can check. */
export function assertHashes(hashes: readonly Buffer[]): void {
  for (const each of hashes) assertHash(each);
}

function assertHash(each: Buffer): void {
  if (each.length !== HASH_BYTES) throw new RangeError(`a hash has ${HASH_BYTES} bytes, not ${each.length}`);
}

/** Throws RangeError unless `size` can be the size of a tree. */
export function assertSize(size: number): void {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`${size} is no size of a tree`);
}
