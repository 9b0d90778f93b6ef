import type { ReadEvent } from '@biz/envelope';
import { isJsonObject, parseJson, sha256Hex } from '@biz/json';
import type { Keyring } from '@biz/sealing';
import type { SecurityEvent } from '@biz/security-events';
import { keyText } from '../storage/event.ts';
import type { Hit } from './bursts.ts';
import type { Kind, Rule, RuleBook } from './rules.ts';

/** What an event adds to a kind of rule, before it is known whose rules there are. */
export interface Counted {
  kind: Kind;
  event_id: string;
  company_id: string | null;
  at: Date;
  n: number;
  user_id: string | null;
  /** The address that somebody unknown tried to log in with, as it was sealed. */
  email: string | null;
  /** Keyed index of the name that was tried, where the producer tells no more (services/identity/src/logins). */
  name_index: string | null;
  /** In clear, in memory only. */
  ip: string | null;
  /** Of `new_country`: the one that is new. */
  country?: string;
}

/** A rule and one of its keys, with the hits of a batch. */
export interface Candidate {
  /** Names rule and key; tells neither. */
  pair: string;
  rule: Rule;
  hits: Hit[];
  trace_id: string;
  user_id: string | null;
  /** Who or where from, in clear: sealed before it is written. Null where `user_id` says it, or the rule counts a company. */
  subject: string | null;
}

type Keys = Pick<Keyring, 'open' | 'blindIndexes'>;

/** Beyond this an event's time is taken for a wrong clock, which would keep a rule from counting until then. */
const MOST_AHEAD_MS = 10 * 60_000;

/** What a batch, and `more` that was found in it, adds to the rules in force, one candidate for each rule and key. `now` bounds times that are ahead. */
export async function candidatesOf(
  keyring: Keys,
  rules: RuleBook,
  batch: readonly SecurityEvent[],
  all: readonly ReadEvent[],
  now: Date,
  more: readonly Counted[] = [],
): Promise<Candidate[]> {
  const latest = now.getTime() + MOST_AHEAD_MS;
  const counted = [...batch.flatMap(ofSecurityEvent), ...all.flatMap(ofEvent), ...more].filter(
    ({ kind, company_id, at }) => at.getTime() <= latest && rules.of(company_id).some((rule) => rule.kind === kind),
  );
  if (counted.length === 0) return [];
  const traces = new Map(all.map(({ event_id, trace_key }) => [event_id, trace_key]));
  const [names, addresses] = await Promise.all([attemptedNames(keyring, counted), indexesOf(keyring, counted)]);
  const candidates = new Map<string, Candidate>();
  for (const one of counted) {
    for (const rule of rules.of(one.company_id)) {
      if (rule.kind !== one.kind) continue;
      const key = keyOf(rule, one, names.get(one), addresses.get(one.ip ?? ''));
      if (key === undefined) continue;
      const pair = sha256Hex(JSON.stringify([rule.company_id, rule.id, key.key]));
      const trace_id = traces.get(one.event_id) ?? '';
      const candidate = candidates.get(pair) ?? { pair, rule, hits: [], trace_id, user_id: key.user_id, subject: key.subject };
      candidate.hits.push({ event_id: keyText(one.event_id), at: one.at.getTime(), n: one.n });
      candidates.set(pair, candidate);
    }
  }
  return [...candidates.values()];
}

function ofSecurityEvent(event: SecurityEvent): Counted[] {
  const kind = kindOf(event);
  if (kind === undefined) return [];
  const { event_id, company_id, at, count: n, user_id, user_email, ip, details } = event;
  const email = user_email !== null && typeof user_email === 'object' ? user_email.sealed : null;
  const name_index = typeof details.name_index === 'string' ? details.name_index : null;
  return [{ kind, event_id, company_id, at, n, user_id, email, name_index, ip: addressOf(ip) }];
}

function kindOf({ event_type }: SecurityEvent): Kind | undefined {
  if (event_type === 'LOGIN_FAILED') return 'failed_logins';
  return event_type === 'ACCESS_DENIED_WRONG_EMPRESA' || event_type === 'ACCESS_DENIED_WRONG_CLIENTE' ? 'cross_tenant' : undefined;
}

/** Deletions by people, and what the audit tells of reads that opened payloads. */
function ofEvent(event: ReadEvent): Counted[] {
  const { event_id, company_id, action_at: at, owner_id, owner_type, owner_ip } = event;
  const of = (kind: Kind, n: number): Counted => ({
    ...{ kind, event_id, company_id, at, n, user_id: owner_id, email: null, name_index: null, ip: addressOf(owner_ip) },
  });
  if (owner_type !== 'user') return [];
  if (event.event_type === 'audit.read' && event.producer_service === 'audit_service') {
    const shown = personalShown(event.payload);
    return shown > 0 ? [of('bulk_personal_reads', shown)] : [];
  }
  return event.action_type === 'delete' ? [of('delete_burst', 1)] : [];
}

/** How many records a read showed opened (services/audit/src/reads/event.ts). */
function personalShown(payload: string): number {
  const read = parseJson(payload);
  if (!isJsonObject(read) || !Array.isArray(read.opens) || !read.opens.includes('payload')) return 0;
  return Number.isSafeInteger(read.count) ? Math.max(0, read.count as number) : 0;
}

function addressOf(ip: string): string | null {
  return ['', '0.0.0.0', '::'].includes(ip.trim()) ? null : ip.trim();
}

interface Key {
  key: string;
  user_id: string | null;
  subject: string | null;
}

/** Undefined when nobody knows who it was, or where from. */
function keyOf(
  { group_by }: Rule,
  { user_id, ip, company_id, name_index, country }: Counted,
  name: { text: string; index: string } | undefined,
  address: string | undefined,
): Key | undefined {
  if (country !== undefined) return { key: `country:${user_id}:${country}`, user_id, subject: country };
  switch (group_by) {
    case 'user':
      if (user_id !== null) return { key: `user:${user_id}`, user_id, subject: null };
      if (name) return { key: `name:${name.index}`, user_id: null, subject: name.text };
      return name_index === null ? undefined : { key: `tried:${name_index}`, user_id: null, subject: null };
    case 'ip':
      return address === undefined ? undefined : { key: `ip:${address}`, user_id: null, subject: ip };
    case 'company':
      return { key: `company:${company_id ?? ''}`, user_id: null, subject: null };
  }
}

/** Blind indexes of addresses, by address. */
async function indexesOf(keyring: Keys, counted: readonly Counted[]): Promise<Map<string, string>> {
  const distinct = [...new Set(counted.flatMap(({ ip }) => ip ?? []))];
  if (distinct.length === 0) return new Map();
  const indexes = await keyring.blindIndexes(distinct.map((value) => ({ company_id: null, kind: 'ip', value })));
  return new Map(distinct.map((ip, at) => [ip, indexes[at] ?? '']));
}

/** Names that somebody unknown tried to log in with, opened to be indexed; one that does not open counts for no user. */
async function attemptedNames(keyring: Keys, counted: readonly Counted[]): Promise<Map<Counted, { text: string; index: string }>> {
  const unknown = counted.filter(({ user_id, email }) => user_id === null && email !== null);
  if (unknown.length === 0) return new Map();
  const opened = await keyring.open(unknown.map(({ company_id, email }) => ({ company_id, field: '/user_email', token: email ?? '' })));
  const known = unknown.flatMap((one, at) => {
    const result = opened[at];
    const text = result?.ok ? parseJson(result.text) : undefined;
    return typeof text === 'string' && text !== '' ? [{ one, text }] : [];
  });
  if (known.length === 0) return new Map();
  const indexes = await keyring.blindIndexes(known.map(({ text }) => ({ company_id: null, kind: 'email', value: text })));
  return new Map(known.map(({ one, text }, at) => [one, { text, index: indexes[at] ?? '' }]));
}
