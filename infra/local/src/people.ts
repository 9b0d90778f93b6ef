import { idFromKey } from '@biz/service';

/** The process that seeds; in its name ids are made, so that Keycloak's realm and identity's records agree on them. */
export const seeder = 'bootstrap';

/** Roles of the realm. */
export const roles = ['admin', 'manager', 'auditor', 'dpo', 'user'] as const;

/** Companies of the local realm. Their CNPJs have right check digits and belong to nobody. */
export const companies = [
  { key: 'a', legalName: 'Loja Aurora Ltda.', cnpj: '12345678000195' },
  { key: 'b', legalName: 'Mercado Brisa S.A.', cnpj: '98765432000198' },
] as const satisfies readonly { key: string; legalName: string; cnpj: string }[];

/** Users of the local realm: each is named by what it may do, and its password is its name. They exist on this machine only. */
export const people: readonly Person[] = [
  ...roles.map((role): Person => ({ username: `${role}-a`, roles: [role], companies: ['a'] })),
  { username: 'admin-b', roles: ['admin'], companies: ['b'] },
  { username: 'user-b', roles: ['user'], companies: ['b'] },
  { username: 'user-none', roles: ['user'], companies: [] },
  // a person of one of company A's clients, and one of both companies who is more in one of them
  { username: 'client-a', roles: ['manager'], companies: ['a'], clients: [idFromKey(seeder, 'seed:client-a-1')] },
  { username: 'user-ab', roles: ['user'], companies: ['a', 'b'], companyRoles: [{ company: 'b', role: 'manager' }] },
  { username: 'platform', roles: ['auditor', 'dpo'], companies: '*' },
];

/** Key of a seeding call, from which its entity's id is made. */
export function seedKey(kind: 'company' | 'profile' | 'user', name: string): string {
  return `seed:${kind}-${name}`;
}

export function companyId(key: CompanyKey): string {
  return idFromKey(seeder, seedKey('company', key));
}

export function userId(username: string): string {
  return idFromKey(seeder, seedKey('user', username));
}

export function profileId(company: CompanyKey, role: Role): string {
  return idFromKey(seeder, seedKey('profile', `${company}-${role}`));
}

/** What the token's `companies` says. */
export function companiesOf(person: Person): string[] {
  return person.companies === '*' ? ['*'] : person.companies.map(companyId);
}

/** What the token's `company_roles` says. */
export function companyRolesOf({ companyRoles = [] }: Person): string[] {
  return companyRoles.map(({ company, role }) => `${companyId(company)}:${role}`);
}

export function emailOf(person: Person): string {
  return `${person.username}@example.com`;
}

export function nameOf(person: Person): string {
  const [first = '', last = ''] = person.username.split('-');
  return [first, last].filter(Boolean).map(capitalised).join(' ');
}

function capitalised(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

export type Role = (typeof roles)[number];
export type CompanyKey = (typeof companies)[number]['key'];

export interface Person {
  username: string;
  roles: readonly Role[];
  /** `*` is every company, and what belongs to none. */
  companies: readonly CompanyKey[] | '*';
  /** Clients of the company that the person is bound to; none: all of it. */
  clients?: readonly string[];
  /** What the person is in one company alone. */
  companyRoles?: readonly { company: CompanyKey; role: Role }[];
}
