import { createHash } from 'node:crypto';

const LONGEST = 200;

/**
 * What is indexed and compared in place of a string that came from outside: the string itself, or `#` and its SHA-256 when
 * it is too long for an index entry (or begins with `#`, so that no string can pose as another's key).
 */
export function indexKey(value: string): string {
  return value.length <= LONGEST && !value.startsWith('#') ? value : `#${createHash('sha256').update(value).digest('hex')}`;
}

/** Key of an entity within its company; null is what belongs to no company. */
export function entityKey(companyId: string | null, entityType: string, entityId: string): string {
  return digest(['entity', companyId, entityType, entityId]);
}

/** Key of an ownership within its company. */
export function ownershipKey(companyId: string | null, ownershipId: string): string {
  return digest(['ownership', companyId, ownershipId]);
}

function digest(parts: (string | null)[]): string {
  // 192 bits: no two keys meet by chance, and index entries stay short.
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 32);
}

/** The log of a partition. */
export function logId(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}

const INDEX_DIGITS = 12;

/** Id of the record at a place of a log. Being the primary key, it makes each place unique, and sorts in log order. */
export function recordId(log: string, leafIndex: number): string {
  return `${log}.${String(leafIndex).padStart(INDEX_DIGITS, '0')}`;
}

/** The place that an id names. */
export function placeOf(id: string): { log: string; leaf: number } {
  const dot = id.lastIndexOf('.');
  return { log: id.slice(0, dot), leaf: Number(id.slice(dot + 1)) };
}

const TILE_DIGITS = 9;

/** Id of a full tile of a log's tree; sorts by level, then by place. */
export function tileId(log: string, level: number, index: number): string {
  return `${log}/${level}/${String(index).padStart(TILE_DIGITS, '0')}`;
}

/** Id of the checkpoint of a log at a size; the newest of a log is the last. */
export function checkpointId(log: string, size: number): string {
  return `${log}/${String(size).padStart(INDEX_DIGITS, '0')}`;
}

/** The log's name as a field name inside a document: dots and dollars mean something there. */
export function fieldName(log: string): string {
  return log.replaceAll('%', '%25').replaceAll('.', '%2E').replaceAll('$', '%24');
}
