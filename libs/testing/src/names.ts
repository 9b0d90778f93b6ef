import { randomBytes } from 'node:crypto';

/** A name of its own for a database, topic or group: `prefix` and 48 random bits; fits MongoDB's 63 bytes for a prefix of up to 50. */
export function uniqueName(prefix: string): string {
  return `${prefix}_${randomBytes(6).toString('hex')}`;
}
