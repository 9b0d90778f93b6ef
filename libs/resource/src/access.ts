import { AppError, type Withheld } from '@biz/errors';
import type { CurrentDocument } from '@biz/eventstore';
import { type CallContext, spansCompanies } from '@biz/rpc';

/** Companies that a call sees: one, some, or (platform people and services) all, and what belongs to none. */
export function companiesOf(context: CallContext): readonly (string | null)[] | 'all' {
  if (context.company_id !== null) return [context.company_id];
  return spansCompanies(context) ? 'all' : context.companies;
}

/** Whether a call may know of an entity. A deleted one is as unknown as one of another company. */
export function isVisible(
  entity: CurrentDocument | undefined,
  context: CallContext,
  narrow: Readonly<Record<string, string>> | undefined,
): entity is CurrentDocument {
  if (!entity || entity.status === 'deleted') return false;
  const companies = companiesOf(context);
  if (companies !== 'all' && !companies.includes(entity.company_id)) return false;
  return Object.entries(narrow ?? {}).every(([name, value]) => [entity.keys[name]].flat().includes(value));
}

/**
 * The same to the caller for an id that never was, was deleted, or is another company's; `withheld` (see `foreignTo`) is for security events.
 */
export function notFound(entity: string, withheld?: Withheld): AppError {
  const name = entity.replaceAll(/(?<=.)[A-Z]/g, (letter) => ` ${letter}`).toLowerCase();
  return new AppError('not_found', `There is no such ${name}.`, { withheld });
}

/**
 * Whether asking for an entity is an attempt at another tenant: it is there, and of no company of the caller's. Somebody who has the company
 * but chose another one for this call only looked in the wrong place.
 */
export function foreignTo(entity: CurrentDocument | undefined, context: CallContext): Withheld | undefined {
  if (!entity || entity.status === 'deleted' || spansCompanies(context)) return undefined;
  return entity.company_id !== null && context.companies.includes(entity.company_id) ? undefined : 'wrong_company';
}
