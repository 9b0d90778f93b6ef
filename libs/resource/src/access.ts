import { AppError } from '@biz/errors';
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

/** The same for an id that never was, was deleted, or is another company's. */
export function notFound(entity: string): AppError {
  return new AppError('not_found', `There is no such ${entity.replaceAll(/(?<=.)[A-Z]/g, (letter) => ` ${letter}`).toLowerCase()}.`);
}
