import { AppError } from '@biz/errors';
import type { CallContext } from '@biz/rpc';
import type { Keyring } from '@biz/sealing';
import type { Collections, OwnershipDocument } from '../collections.ts';
import { indexKey } from '../keys.ts';
import { foreignTo } from './foreign.ts';
import { narrow, scopeOf } from './scope.ts';

/** The ownership with this id; AppError `not_found`, or `company_required` when several companies have it. */
export async function getOwnership(
  collections: Collections,
  context: CallContext,
  request: { ownership_id: string; company_id?: string },
): Promise<OwnershipDocument> {
  const scope = narrow(scopeOf(context), request.company_id);
  const filter = { ownership_id: indexKey(request.ownership_id), ...(scope !== 'all' && { company_id: { $in: scope.map(indexKey) } }) };
  const [first, second] = await collections.ownerships.find(filter).limit(2).toArray();
  if (first === undefined) {
    const { ownership_id } = request;
    throw new AppError('not_found', 'There is no such ownership.', { withheld: await foreignTo(collections, context, { ownership_id }) });
  }
  if (second !== undefined) {
    throw new AppError('company_required', 'Several companies have this ownership id: name one.');
  }
  return first;
}

const MOST_FOUND = 100;

/** Ownerships of one company by document or e-mail, through its blind index. */
export async function lookupOwnerships(
  collections: Collections,
  keyring: Keyring,
  context: CallContext,
  request: { document?: string; email?: string },
): Promise<OwnershipDocument[]> {
  const given = (['document', 'email'] as const).filter((kind) => request[kind]);
  const [kind] = given;
  if (kind === undefined || given.length > 1) {
    const faults = [{ path: '/document', message: 'give either a document or an email' }];
    throw new AppError('invalid_request', 'The request does not fit the contract.', { faults });
  }
  const scope = scopeOf(context);
  if (scope === 'all') {
    throw new AppError('company_required', 'Personal data is looked up in one company: name it with X-Company-Id.');
  }
  const indexes = await keyring.blindIndexes(scope.map((company_id) => ({ company_id, kind, value: request[kind] as string })));
  const filters = scope.map((company, index) => ({ company_id: indexKey(company), [`blind_${kind}`]: indexes[index] as string }));
  const found = await Promise.all(
    filters.map((filter) => collections.ownerships.find(filter).sort({ _id: 1 }).limit(MOST_FOUND).toArray()),
  );
  return found.flat();
}

/** As a message of the contract. */
export function presentOwnership(ownership: OwnershipDocument): object {
  return {
    ownership_id: ownership.ownership_id_long ?? ownership.ownership_id,
    ...(ownership.company_id !== null && { company_id: ownership.company_id }),
    first_seen: ownership.first_seen.toISOString(),
    last_seen: ownership.last_seen.toISOString(),
    entity_types: ownership.entity_types,
    record_count: Object.values(ownership.counts).reduce((sum, { count }) => sum + count, 0),
    key_state: ownership.key_state,
    holds: ownership.holds,
    requests: ownership.requests,
  };
}
