import { AppError } from '@biz/errors';
import type { JsonObject } from '@biz/json';
import type { CurrentDocument, EntityRules, EventDocument } from './types.ts';

/** The schema version of events whose entity type declares no upcast, and of the folds of those. */
export const firstVersion = '1.0';

/** An event that no fold may pass over: the state stays as it is until it is there, or can be read. */
export class Unfoldable extends AppError {}

/** An event of a release that is ahead of this one, and of another major version: what it means is not known here. */
export class UnreadableEvent extends Unfoldable {
  constructor({ version, stream_id, schema_version }: EventDocument, known: string) {
    const text = `Event ${version} of ${stream_id} has schema version ${schema_version.slice(0, 40)}; this release reads up to ${known}.`;
    super('unavailable', `${text} A later release wrote it: start that one.`);
  }
}

/** The version that new events of an entity type get: that of its last upcast. */
export function schemaVersionOf(rules: EntityRules | undefined): string {
  return rules?.upcasts?.at(-1)?.to ?? firstVersion;
}

/**
 * An event as one of today's schema: every later upcast applied to its data, in order; what is stored stays as it was written. An event of a
 * later minor version is given as it is (its fields are more than is known here, none less). UnreadableEvent for a later major one.
 */
export function upcast(rules: EntityRules | undefined, event: EventDocument): EventDocument {
  const known = schemaVersionOf(rules);
  // the usual case costs one comparison
  if (event.schema_version === known) return event;
  const [major, minor] = parts(event.schema_version);
  if (!(major <= parts(known)[0])) throw new UnreadableEvent(event, known);
  const steps = (rules?.upcasts ?? []).filter(({ to }) => isBefore([major, minor], parts(to)));
  if (steps.length === 0) return event;
  const data = steps.reduce<JsonObject>((before, { events }) => events[event.type]?.(before) ?? before, event.data);
  return { ...event, schema_version: known, data };
}

/** Whether a fold was made by a release that knew fewer upcasts: it is made again from the events before anybody rests on it. */
export function isOutdated(rules: EntityRules | undefined, entity: Pick<CurrentDocument, 'schema_version'>): boolean {
  return isBefore(parts(entity.schema_version ?? firstVersion), parts(schemaVersionOf(rules)));
}

/** What `schema_version` reads in folds that are outdated: nothing at all in those of the first version. */
export function outdatedVersions(rules: EntityRules | undefined): (string | null)[] {
  const before = (rules?.upcasts ?? []).slice(0, -1).map(({ to }) => to);
  return rules?.upcasts?.length ? [null, ...before] : [];
}

/**
 * Throws an Error unless the versions are 1.1, 1.2, … in this order. A later major is no version that a reader of the topic takes
 * (@biz/envelope: it becomes a dead letter), so what does not fit a minor version is another event type.
 */
export function assertUpcasts(entityType: string, rules: EntityRules): void {
  for (const [index, { to }] of (rules.upcasts ?? []).entries()) {
    if (to !== `1.${index + 1}`) throw new Error(`${entityType}: upcast ${index + 1} leads to ${to}; it has to be 1.${index + 1}`);
  }
}

/** Major and minor; not a number where the text is no version, which is before nothing and after nothing. */
function parts(version: string): [major: number, minor: number] {
  const [, major, minor = '0'] = /^(\d+)(?:\.(\d+))?$/.exec(version) ?? [];
  return [Number(major ?? Number.NaN), Number(minor)];
}

function isBefore([major, minor]: readonly [number, number], [otherMajor, otherMinor]: readonly [number, number]): boolean {
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}
