import { AppError } from '@biz/errors';

/** A company (empresa): the first tenancy level. Belongs to itself: `company_id` is its own id. */
export type CompanyState = {
  id: string;
  legal_name: string;
  /** Without its mask, upper case. */
  cnpj: string;
  status: 'active' | 'disabled' | 'deleted';
};

/** Digits and upper-case letters: the form in which a CNPJ is kept and unique (alphanumeric since IN RFB 2.229/2024). */
export function normalCnpj(cnpj: string): string {
  return cnpj.toUpperCase().replaceAll(/[^0-9A-Z]/g, '');
}

/** Only the platform brings companies into being and takes them out of use: a disabled company must not enable itself. */
export function assertPlatform(caller: { readonly companies: readonly string[] }): void {
  if (!caller.companies.includes('*')) throw new AppError('no_role', 'Only people of the platform may do this.');
}

/** A company with users stays, so that nobody's home vanishes; its users are deleted or moved first. */
export function assertNoUsers(users: number): void {
  if (users > 0) throw new AppError('conflict', 'The company still has users.');
}
