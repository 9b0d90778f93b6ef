import { AppError } from '@biz/errors';
import type { TlsFiles } from '@biz/pki';
import { type Contract, loadContract } from '@biz/protos';
import { type CallContext, createRpcClient, serviceContext } from '@biz/rpc';
import { traceContext } from '@biz/service';
import {
  type CompanyKey,
  companies,
  companiesOf,
  companyId,
  emailOf,
  nameOf,
  type Person,
  people,
  profileId,
  type Role,
  seeder,
  seedKey,
} from './people.ts';

const profileNames: Record<Role, string> = {
  admin: 'Administrador',
  manager: 'Gerente',
  auditor: 'Auditor',
  dpo: 'Encarregado de dados',
  user: 'Usuário',
};

/**
 * Tells identity of the companies, profiles and users of the local realm. Each call has a key of its own, from which the entity's id
 * is made, so that doing it again at each start changes nothing, and Keycloak's realm names the same ids. People of no company, or of
 * every company, are known to Keycloak alone: a user of identity belongs to companies.
 */
export async function seedIdentity(options: { address: string; tls: TlsFiles }): Promise<void> {
  const contract = loadContract();
  const call = caller(contract, options);
  try {
    for (const company of companies) {
      const body = { legal_name: company.legalName, cnpj: company.cnpj };
      await call('CompanyService', 'CreateCompany', body, null, seedKey('company', company.key), companyId(company.key));
    }
    const homes = people.flatMap((person) => homesOf(person).map((company) => ({ person, company })));
    for (const { role, company } of homes.flatMap(profilesOf)) {
      const body = { name: profileNames[role], roles: [role] };
      await call('ProfileService', 'CreateProfile', body, company, seedKey('profile', `${company}-${role}`), profileId(company, role));
    }
    for (const { person, company } of homes) {
      const body = {
        username: person.username,
        email: emailOf(person),
        name: nameOf(person),
        profile_ids: profilesOf({ person, company }).map((profile) => profileId(profile.company, profile.role)),
        company_ids: companiesOf(person),
        ...(person.clients && { client_ids: [...person.clients] }),
        locale: 'pt-BR',
      };
      await call('UserService', 'CreateUser', body, company, seedKey('user', person.username));
    }
  } finally {
    call.close();
  }
}

/** The company that a user of identity belongs to: the first of the person's. */
function homesOf(person: Person): readonly CompanyKey[] {
  return person.companies === '*' ? [] : person.companies.slice(0, 1);
}

/** Roles of the home hold in every company of the person. */
function profilesOf({ person, company }: { person: Person; company: CompanyKey }): { role: Role; company: CompanyKey }[] {
  return [...person.roles.map((role) => ({ role, company })), ...(person.companyRoles ?? [])];
}

function caller(contract: Contract, options: { address: string; tls: TlsFiles }): Caller {
  const names = ['CompanyService', 'ProfileService', 'UserService'];
  const clients = new Map(names.map((name) => [name, createRpcClient({ contract, service: `biz.identity.v1.${name}`, ...options })]));
  const call = async (service: string, method: string, body: object, company: CompanyKey | null, key: string, id?: string) => {
    const client = clients.get(service);
    const made = await client?.call<{ id: string }>(method, body, contextFor(company, key)).catch(ifThereAlready);
    if (made && id !== undefined && made.id !== id) throw new Error(`identity made ${made.id} for "${key}", and the realm names ${id}`);
  };
  const close = () => {
    for (const client of clients.values()) client[Symbol.dispose]();
  };
  return Object.assign(call, { close });
}

/** The key was used with another body: of another release, or one that can't be compared any more since the keys of the data are lost. It is there. */
function ifThereAlready(error: unknown): undefined {
  if (error instanceof AppError && error.code === 'idempotency_conflict') return undefined;
  throw error;
}

function contextFor(company: CompanyKey | null, key: string): CallContext {
  return serviceContext(seeder, traceContext(), {
    role: 'admin',
    roles: ['admin'],
    company_id: company === null ? null : companyId(company),
    idempotency_key: key,
  });
}

type Caller = ((service: string, method: string, body: object, company: CompanyKey | null, key: string, id?: string) => Promise<void>) & {
  close(): void;
};
