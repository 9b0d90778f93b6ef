import { AppError } from '@biz/errors';
import { type Patch, type Stamp, type StandardCommand, standardDecision } from '@biz/resource';

/** A company (empresa): the first tenancy level. Belongs to itself: `company_id` is its own id. */
export interface CompanyState {
  id: string;
  status: string;
  legal_name: string;
  /** Without its mask, upper case. */
  cnpj: string;
}

export interface CompanyFacts {
  /** Whether the caller spans every company. */
  platform: boolean;
  /** How many users have the company; counted for `delete` alone. */
  users: number;
}

/**
 * Only the platform brings companies into being and takes them out of use, so that a disabled one cannot enable itself. One with users is
 * not deleted: nobody's home vanishes.
 */
export function decideCompany(
  command: StandardCommand<CompanyState> & Stamp,
  state: CompanyState | undefined,
  facts: CompanyFacts,
): Patch<CompanyState> | null {
  switch (command.kind) {
    case 'create':
      assertPlatform(facts);
      return standardDecision({ kind: 'create', fields: { ...command.fields, cnpj: normalCnpj(command.fields.cnpj) } }, state);
    case 'update': {
      const { cnpj } = command.patch;
      return standardDecision({ kind: 'update', patch: { ...command.patch, ...(cnpj && { cnpj: normalCnpj(cnpj) }) } }, state);
    }
    case 'delete':
      assertPlatform(facts);
      if (facts.users > 0) throw new AppError('conflict', 'The company still has users.');
      return standardDecision(command, state);
    default:
      assertPlatform(facts);
      return standardDecision(command, state);
  }
}

/** Digits and upper-case letters: the form in which a CNPJ is kept and unique (alphanumeric since IN RFB 2.229/2024). */
export function normalCnpj(cnpj: string): string {
  return cnpj.toUpperCase().replaceAll(/[^0-9A-Z]/g, '');
}

function assertPlatform({ platform }: CompanyFacts): void {
  if (!platform) throw new AppError('no_role', 'Only people of the platform may do this.');
}
