import { createHash } from 'node:crypto';
import { stringify, v7 } from 'uuid';

/** A new id: UUIDv7 (RFC 9562), so that ids sort by time. */
export function newId(): string {
  return v7();
}

/**
 * The id that a create with this Idempotency-Key has: the same actor and key always give the same id (UUIDv8, RFC 9562), so a retried
 * create meets its own claims and its own stream instead of making a second entity.
 */
export function idFromKey(actor: string, key: string): string {
  const bytes = createHash('sha256')
    .update(JSON.stringify([actor, key]))
    .digest()
    .subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80; // version 8
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80; // variant of RFC 9562
  return stringify(bytes);
}

/** The id of something that is made at a time and told by `key`: UUIDv7 (RFC 9562) whose random part follows from the key, so it sorts by time. */
export function idAt(time: Date, key: string): string {
  return v7({ msecs: time.getTime(), random: createHash('sha256').update(key).digest().subarray(0, 16) });
}

/** Now, or the given time, as RFC 3339 in UTC with milliseconds. */
export function rfc3339(date: Date = new Date()): string {
  return date.toISOString();
}
