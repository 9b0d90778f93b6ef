/**
 * What is made again from other collections, or holds for running processes only: not in a backup. `current` and `claims` are folds of `events`; tiles
 * and heads are made of records.
 */
const derived = new Set(['current', 'claims', 'leases', 'restores']);
const derivedInAudit = new Set([...derived, 'tiles', 'logs', 'entities']);
/** Taken by the cut. */
const byTheCut = new Set(['records', 'checkpoints']);

/**
 * What says that something has been done: it is read before what was done, so that nothing that it tells of is missing. Cursors of logins, bursts
 * whose alert is written, findings that were told, exports in hand, dead letters that were replayed.
 */
const first = new Set(['login_events', 'keycloak_resync', 'alert_pairs', 'stream_marks', 'findings', 'open_reads', 'dead_letters']);
/** Events and outboxes. Their marks say what has been done of the rest, which is therefore read after them. */
const events = new Set(['events', 'handed_over']);

/** Events of a service, which have a stream and a version. */
export function isEvents(collection: string): boolean {
  return events.has(collection);
}

export interface Place {
  database: string;
  collection: string;
}

/**
 * The collections that a backup takes, in the order in which they are read. It begins with the audit's records (an event is in its service before
 * it is a record, so events that are read later are all that the records know), and what says "done" is read before
 * what was done. A collection that nothing is known of is taken, at the end.
 */
export function inOrder(found: readonly Place[], auditDatabase: string): Place[] {
  const taken = found.filter(({ database, collection }) => {
    if (collection.startsWith('system.')) return false;
    return database === auditDatabase ? !derivedInAudit.has(collection) && !byTheCut.has(collection) : !derived.has(collection);
  });
  const phase = ({ collection }: Place) => (first.has(collection) ? 0 : events.has(collection) ? 1 : 2);
  const name = ({ database, collection }: Place) => `${database}.${collection}`;
  return taken.toSorted((one, other) => phase(one) - phase(other) || (name(one) < name(other) ? -1 : 1));
}
