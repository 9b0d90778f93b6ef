import {
  CloudWatchLogsClient,
  CreateLogGroupCommand,
  CreateLogStreamCommand,
  DescribeLogGroupsCommand,
  PutLogEventsCommand,
  PutRetentionPolicyCommand,
  paginateFilterLogEvents,
  ResourceAlreadyExistsException,
} from '@aws-sdk/client-cloudwatch-logs';
import { AppError } from '@biz/errors';
import { anonymous, concerns, eventOf, matches, newestFirst, pageOf, placeOf, textOf } from './event.ts';
import type { Anonymization, AuditLogStorage, EventPage, EventQuery, PageRequest, Refusal, StoredEvent } from './port.ts';

export interface CloudwatchOptions {
  readonly region: string;
  /** Another address than AWS's own. */
  readonly endpoint?: string | undefined;
  readonly group: string;
  /** Days after which AWS drops events; kept for ever when not given. */
  readonly retentionDays?: number | undefined;
}

const EVENTS = 'events';
const NOTES = 'anonymizations';

// Limits of PutLogEvents: 10,000 events and 1,048,576 bytes a call, each event with 26 more; all within 24 hours, in order of time; nothing older
// than 14 days, nor more than 2 hours ahead. A minute less of each, for the clocks.
const MOST_EVENTS = 10_000;
const MOST_BYTES = 1_048_576;
const EVENT_BYTES = 26;
const HOUR = 3_600_000;
const MINUTE = 60_000;
const SPAN = 24 * HOUR - MINUTE;
const OLDEST = 14 * 24 * HOUR - MINUTE;
const NEWEST = 2 * HOUR - MINUTE;

/** The longest that a list may search, in milliseconds. */
const SEARCH_MS = 8_000;
/** Events found in one stretch of time, past which a shorter one is looked at. */
const MOST_FOUND = 5_000;

interface Parts {
  client: CloudWatchLogsClient;
  group: string;
  /** Nothing in the group is older, in milliseconds since 1970. */
  oldest: number;
}

/** Something that stands in a stream. `ingested` is AWS's own time of it. */
interface Line {
  message: string;
  ingested: number;
}

interface Note {
  what: Anonymization;
  ingested: number;
}

/**
 * Security events in a log group of CloudWatch Logs, which is made first. What stands there cannot be changed nor is it known by id, so an event that was
 * sent twice is dropped at reading, and an anonymization is a note that reading obeys; the sealed bytes themselves end with their key, or with the
 * group's retention.
 */
export async function openCloudwatchStorage({ region, endpoint, group, retentionDays }: CloudwatchOptions): Promise<AuditLogStorage> {
  const requestHandler = { connectionTimeout: 5_000, requestTimeout: 30_000 };
  const client = new CloudWatchLogsClient({ region, ...(endpoint && { endpoint }), maxAttempts: 3, requestHandler });
  const parts: Parts = { client, group, oldest: 0 };
  try {
    await unlessThere(() => client.send(new CreateLogGroupCommand({ logGroupName: group })));
    for (const logStreamName of [EVENTS, NOTES]) {
      await unlessThere(() => client.send(new CreateLogStreamCommand({ logGroupName: group, logStreamName })));
    }
    if (retentionDays) await client.send(new PutRetentionPolicyCommand({ logGroupName: group, retentionInDays: retentionDays }));
    const { logGroups = [] } = await client.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: group }));
    const created = logGroups.find(({ logGroupName }) => logGroupName === group)?.creationTime ?? 0;
    parts.oldest = Math.max(0, created - OLDEST - MINUTE);
  } catch (error) {
    client.destroy();
    throw error;
  }
  return {
    name: 'cloudwatch',
    save: (events) => save(parts, events),
    find: (query, page) => find(parts, query, page),
    anonymize: (what) => anonymize(parts, what),
    async [Symbol.asyncDispose]() {
      client.destroy();
    },
  };
}

async function unlessThere(make: () => Promise<unknown>): Promise<void> {
  await make().catch((error: unknown) => {
    if (!(error instanceof ResourceAlreadyExistsException)) throw error;
  });
}

async function save(parts: Parts, events: readonly StoredEvent[]): Promise<readonly Refusal[]> {
  const now = Date.now();
  const refused: Refusal[] = [];
  const taken = events.filter(({ event_id, occurred_at }) => {
    const age = now - occurred_at.getTime();
    const reason = age > OLDEST ? 'too_old' : age < -NEWEST ? 'too_new' : undefined;
    if (reason) refused.push({ event_id, reason });
    return !reason;
  });
  for (const batch of batchesOf(taken.sort(newestFirst).reverse())) await put(parts, EVENTS, batch);
  return refused;
}

interface Entry {
  timestamp: number;
  message: string;
}

/** What one call takes each, in order of time. */
function* batchesOf(events: readonly StoredEvent[]): Generator<Entry[]> {
  let batch: Entry[] = [];
  let bytes = 0;
  for (const event of events) {
    const entry = { timestamp: event.occurred_at.getTime(), message: textOf(event) };
    const size = Buffer.byteLength(entry.message) + EVENT_BYTES;
    const [first = entry] = batch;
    if (batch.length === MOST_EVENTS || bytes + size > MOST_BYTES || entry.timestamp - first.timestamp > SPAN) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(entry);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

async function put({ client, group }: Parts, logStreamName: string, logEvents: Entry[]): Promise<void> {
  await client.send(new PutLogEventsCommand({ logGroupName: group, logStreamName, logEvents }));
}

async function find(parts: Parts, query: EventQuery, page: PageRequest): Promise<EventPage> {
  if (query.company_ids?.length === 0) return { items: [] };
  const deadline = Math.min(Date.now() + SEARCH_MS, page.deadline?.getTime() ?? Number.POSITIVE_INFINITY);
  const after = page.after === undefined ? undefined : placeOf(page.after);
  const notes = await notesOf(parts);
  const found: StoredEvent[] = [];
  const end = Math.min(query.to?.getTime() ?? Number.POSITIVE_INFINITY, (after?.occurred_at.getTime() ?? Number.POSITIVE_INFINITY) + 1);
  for await (const stretch of backwards(parts, { query, end, deadline })) {
    const wanted = eventsIn(stretch, notes).filter((event) => matches(event, query) && (!after || newestFirst(after, event) < 0));
    found.push(...wanted.sort(newestFirst));
    if (found.length > page.size) break;
  }
  return pageOf(found, page.size);
}

/** Each event once, as its first copy was, with the notes obeyed. What was sent twice has one time, so both copies are in one stretch. */
function eventsIn(stretch: readonly Found[], notes: readonly Note[]): StoredEvent[] {
  const first = new Map<string, Found>();
  for (const found of stretch) {
    const known = first.get(found.event.event_id);
    if (!known || found.ingested < known.ingested) first.set(found.event.event_id, found);
  }
  return [...first.values()].map(({ event, ingested }) => {
    // an event that was saved after the note is not meant
    const meant = notes.some((note) => ingested <= note.ingested && concerns(event, note.what));
    return meant ? { ...event, ...anonymous } : event;
  });
}

interface Found {
  event: StoredEvent;
  ingested: number;
}

/** Stretches of time with their events, the newest first: CloudWatch gives events in order of time only. Longer ones where there is little, shorter ones where much is. */
async function* backwards(parts: Parts, search: { query: EventQuery; end: number; deadline: number }): AsyncGenerator<Found[]> {
  const { query, deadline } = search;
  const oldest = Math.max(query.from?.getTime() ?? 0, parts.oldest);
  let end = Math.min(search.end, Date.now() + NEWEST + 2 * MINUTE);
  for (let span = HOUR; end > oldest; ) {
    if (Date.now() > deadline) throw new AppError('timeout', 'The search takes too long; narrow it, by time for example.');
    const start = Math.max(oldest, end - span);
    const found = await stretch(parts, { query, start, end, deadline });
    if (found === undefined && end - start > 1) {
      span = Math.max(1, Math.floor((end - start) / 8));
      continue;
    }
    yield found ?? [];
    end = start;
    span = (found?.length ?? 0) < MOST_FOUND / 8 ? span * 4 : span;
  }
}

/** Events from `start` (inclusive) to `end` (exclusive); undefined when there are too many to hold, unless it is one millisecond. */
async function stretch(
  parts: Parts,
  { query, start, end, deadline }: { query: EventQuery; start: number; end: number; deadline: number },
): Promise<Found[] | undefined> {
  const found: Found[] = [];
  for await (const { message, ingested } of linesOf(parts, EVENTS, { start, end, pattern: patternOf(query), deadline })) {
    const event = eventOf(message);
    if (event) found.push({ event, ingested });
    if (found.length > MOST_FOUND && end - start > 1) return undefined;
  }
  return found;
}

async function* linesOf(
  { client, group }: Parts,
  stream: string,
  { start, end, pattern, deadline }: { start?: number; end?: number; pattern?: string | undefined; deadline?: number },
): AsyncGenerator<Line> {
  const pages = paginateFilterLogEvents(
    { client },
    {
      ...{ logGroupName: group, logStreamNames: [stream] },
      // CloudWatch's end is inclusive
      ...(start !== undefined && { startTime: start }),
      ...(end !== undefined && { endTime: end - 1 }),
      ...(pattern && { filterPattern: pattern }),
    },
  );
  for await (const { events = [] } of pages) {
    if (deadline && Date.now() > deadline) throw new AppError('timeout', 'The search takes too long; narrow it, by time for example.');
    for (const { message = '', ingestionTime = 0 } of events) yield { message, ingested: ingestionTime };
  }
}

/** Lets CloudWatch leave out most; what its patterns cannot say, and emulators do not know, is looked at again here. */
function patternOf({ user_id, event_type, severity, ip_index, company_ids = [] }: EventQuery): string | undefined {
  const values = { user_id, event_type, severity, ip_index, company_id: company_ids.length === 1 ? company_ids[0] : undefined };
  const terms = Object.entries(values).flatMap(([name, value]) =>
    value !== undefined && /^[\w.:-]+$/.test(value) ? [`($.${name} = "${value}")`] : [],
  );
  return terms.length > 0 ? `{ ${terms.join(' && ')} }` : undefined;
}

async function notesOf(parts: Parts): Promise<Note[]> {
  const notes: Note[] = [];
  for await (const { message, ingested } of linesOf(parts, NOTES, {})) {
    const { before, user_id } = JSON.parse(message) as { before?: string; user_id?: string };
    if (before !== undefined) notes.push({ what: { before: new Date(before) }, ingested });
    else if (user_id !== undefined) notes.push({ what: { user_id }, ingested });
  }
  return notes;
}

async function anonymize(parts: Parts, what: Anonymization): Promise<number> {
  const notes = await notesOf(parts);
  const query: EventQuery = 'before' in what ? { to: what.before } : { user_id: what.user_id };
  let count = 0;
  const search = { query, end: query.to?.getTime() ?? Number.POSITIVE_INFINITY, deadline: Number.POSITIVE_INFINITY };
  for await (const stretch of backwards(parts, search)) {
    count += eventsIn(stretch, notes).filter((event) => concerns(event, what) && !event.anonymized).length;
  }
  if (count > 0) await put(parts, NOTES, [{ timestamp: Date.now(), message: JSON.stringify(what) }]);
  return count;
}
