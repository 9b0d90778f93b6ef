import type { Withheld } from '@biz/errors';
import { type CallContext, spansCompanies } from '@biz/rpc';
import type { Collections } from '../collections.ts';
import { indexKey } from '../keys.ts';

/** What was asked for and not found. */
export type Missed = { record_id: string } | { entity_type: string; entity_id: string } | { ownership_id: string };

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Whether what the caller asked for is another company's, or another client's in the caller's own: for security events, never for the answer (see `AppError.withheld`). Takes one read, whether it
 * is there or not, so that the time tells nothing. Ids that are no UUIDs are left out: producers number theirs from 1 in every company.
 */
export async function foreignTo(collections: Collections, context: CallContext, missed: Missed): Promise<Withheld | undefined> {
  if (spansCompanies(context)) return undefined;
  const companies = await companiesOf(collections, missed);
  const own: (string | null)[] = context.companies.map(indexKey);
  if (companies.length > 0 && companies.every((company) => !own.includes(company))) return 'wrong_company';
  const isHere = context.company_id === null ? companies.length > 0 : companies.includes(indexKey(context.company_id));
  return context.clients.length > 0 && isHere ? 'wrong_client' : undefined;
}

async function companiesOf({ events, entities, ownerships }: Collections, missed: Missed): Promise<(string | null)[]> {
  const projection = { company_id: 1 } as const;
  if ('record_id' in missed) {
    const record = await events.findOne({ _id: missed.record_id, kind: 'event' }, { projection });
    return record ? [record.company_id] : [];
  }
  const id = 'entity_id' in missed ? missed.entity_id : missed.ownership_id;
  if (!uuid.test(id)) return [];
  const limits = { projection, limit: 10 };
  const found =
    'entity_id' in missed
      ? await entities.find({ entity_id: indexKey(id), entity_type: indexKey(missed.entity_type) }, limits).toArray()
      : await ownerships.find({ ownership_id: indexKey(id) }, limits).toArray();
  return found.map(({ company_id }) => company_id);
}
