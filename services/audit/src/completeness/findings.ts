import { insertMissing } from '@biz/eventstore';
import type { Collection } from 'mongodb';
import type { Collections } from '../collections.ts';
import { indexKey } from '../keys.ts';
import { bindingOf, DEFAULT_PAGE_SIZE, fetchPage, readToken, writeToken } from '../query/page.ts';
import type { Scope } from '../query/scope.ts';
import type { FindingDocument, FindingKind } from './finding.ts';

type Findings = Pick<Collections, 'findings'>;

/**
 * Keeps findings, each once, and at most `most` that are new; gives how many of them are. What was found before, healed and is there again, is a finding of its own: its
 * id tells when the one before it was closed.
 */
export async function openFindings(
  { findings }: Findings,
  found: readonly FindingDocument[],
  most = Number.POSITIVE_INFINITY,
): Promise<number> {
  let added = 0;
  for (let left = [...found]; left.length > 0; ) {
    const known = new Map<string, FindingDocument>();
    const ids = left.map(({ _id }) => _id);
    for await (const one of findings.find({ _id: { $in: ids } })) known.set(one._id, one);
    const fresh = left.filter(({ _id }) => !known.has(_id)).slice(0, most - added);
    await insertMissing(findings, fresh);
    added += fresh.length;
    left = left.flatMap((one) => {
      const { status, closed_at } = known.get(one._id) ?? {};
      return status === 'closed' ? [{ ...one, _id: `${one._id}@${closed_at?.getTime() ?? 0}` }] : [];
    });
  }
  return added;
}

export async function closeFindings({ findings }: Findings, ids: readonly string[], at: Date): Promise<void> {
  if (ids.length === 0) return;
  await findings.updateMany({ _id: { $in: [...ids] }, status: 'open' }, { $set: { status: 'closed', closed_at: at, untold: true } });
}

const CHUNK = 500;

/** Open findings of a kind in order of their ids, chunk by chunk; what is opened meanwhile may be among them. */
export async function* openOf(
  { findings }: Findings,
  kind: FindingKind,
  filter: { service?: string; after?: string } = {},
): AsyncGenerator<FindingDocument[]> {
  const { service, after: start = '' } = filter;
  for (let after = start; ; ) {
    const chunk = await findings
      .find({ status: 'open', kind, _id: { $gt: after }, ...(service !== undefined && { service }) })
      .sort({ status: 1, kind: 1, _id: 1 })
      .limit(CHUNK)
      .toArray();
    if (chunk.length > 0) yield chunk;
    if (chunk.length < CHUNK) return;
    after = chunk.at(-1)?._id ?? '';
  }
}

/** Notes that the service was asked to publish the events of these findings again. */
export async function noteRepublished({ findings }: Findings, ids: readonly string[], at: Date): Promise<void> {
  await findings.updateMany({ _id: { $in: [...ids] } }, { $set: { republished_at: at }, $inc: { republish_count: 1 } });
}

export function countOpen({ findings }: Findings, scope: Scope): Promise<number> {
  return findings.countDocuments({ status: 'open', ...within(scope) });
}

export interface ListRequest {
  page_size?: number;
  page_token?: string;
  status?: string;
  kind?: string;
}

/** One page of findings, newest first. */
export async function listFindings(
  { findings }: Findings,
  scope: Scope,
  { page_size, page_token, status, kind }: ListRequest,
  deadline: Date,
): Promise<{ findings: FindingDocument[]; next_page_token: string }> {
  if (scope !== 'all' && scope.length === 0) return { findings: [], next_page_token: '' };
  const binding = bindingOf(['findings', scope === 'all' ? scope : [...scope], status ?? '', kind ?? '']);
  const filter: Record<string, unknown> = { ...within(scope), ...(status && { status }), ...(kind && { kind }) };
  if (page_token) {
    const [time, id] = readToken(page_token, binding, ['number', 'string']);
    const at = new Date(time);
    filter.found_at = { $lte: at };
    filter.$or = [{ found_at: { $lt: at } }, { _id: { $lt: id } }];
  }
  // The index is named, so that no planner guesses: by company when it is one, and by status when it is given.
  const index = `${scope !== 'all' && scope.length === 1 ? 'company_' : ''}${status ? 'status_' : ''}time`;
  const cursor = (findings as unknown as Collection<FindingDocument>).find(filter).sort({ found_at: -1, _id: -1 }).hint(index);
  const { items, more } = await fetchPage(cursor, page_size || DEFAULT_PAGE_SIZE, deadline);
  const last = items.at(-1);
  return { findings: items, next_page_token: more && last ? writeToken([last.found_at.getTime(), last._id], binding) : '' };
}

function within(scope: Scope): { company_id?: string | { $in: string[] } } {
  if (scope === 'all') return {};
  return { company_id: scope.length === 1 ? indexKey(scope[0] as string) : { $in: scope.map(indexKey) } };
}
