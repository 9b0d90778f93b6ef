import type { EntityRules } from '@biz/eventstore';
import type { Contract } from '@biz/protos';
import { defineResource, type openFoundation, type ResourceModel } from '@biz/resource';
import { type CompanyFacts, type CompanyState, decideCompany, normalCnpj } from './company.ts';
import { decideProfile, nameKey, type ProfileFacts, type ProfileState } from './profile.ts';
import { decideUser, type UserCommand, type UserFacts, type UserState } from './user.ts';

export type Entities = {
  readonly company: ResourceModel<CompanyState, never, CompanyFacts>;
  readonly profile: ResourceModel<ProfileState, never, ProfileFacts>;
  readonly user: ResourceModel<UserState, UserCommand, UserFacts>;
};

/** The three kinds of entity of this service, as the kit and the event store take them. */
export function defineEntities(contract: Contract): Entities {
  return {
    company: defineResource({
      contract,
      service: 'biz.identity.v1.CompanyService',
      entity: 'Company',
      decide: decideCompany,
      unique: [{ field: 'cnpj', within: 'everything', normalise: normalCnpj }],
      // a company belongs to itself: its people see it, the platform sees all
      companyOf: (id) => id,
    }),
    profile: defineResource({
      contract,
      service: 'biz.identity.v1.ProfileService',
      entity: 'Profile',
      decide: decideProfile,
      unique: [{ field: 'name', normalise: nameKey }],
      fence: (command, { company_id }) => (command.kind === 'delete' ? profilesFence(company_id) : undefined),
      companyOf: (_, __, context) => context.company_id,
    }),
    user: defineResource<UserState, UserCommand, UserFacts>({
      contract,
      service: 'biz.identity.v1.UserService',
      entity: 'User',
      decide: decideUser,
      unique: [{ field: 'username', within: 'everything' }, { field: 'email', within: 'everything' }, { field: 'document' }],
      lookups: { profile_id: (state) => state.profile_ids ?? [] },
      opens: ['email', 'name', 'document'],
      fence: (command, { company_id }) => (givesProfiles(command) ? profilesFence(company_id) : undefined),
      companyOf: (_, __, context) => context.company_id,
    }),
  };
}

/** The same for the event store. Besides the list's filters, users are found by their companies. */
export function storeModels({ company, profile, user }: Entities): Parameters<typeof openFoundation>[0]['models'] {
  const rules: EntityRules = {
    ...user.rules,
    keys: (entity) => ({
      ...user.rules.keys?.(entity),
      [companyLookup]: [...((entity.state.company_ids ?? []) as string[]), ...(entity.company_id === null ? [] : [entity.company_id])],
    }),
  };
  return [company, profile, { entityType: user.entityType, rules, filters: [...user.filters, companyLookup] }];
}

/** Lookup of users by the companies that they belong to, home included. */
export const companyLookup = 'companies';

/** Giving a profile and deleting one stand in one order, so that a deleted profile has no users. */
function profilesFence(company: string | null): string {
  return `profiles:${company ?? 'platform'}`;
}

function givesProfiles(command: { kind: string; profile_id?: string; fields?: object; patch?: object }): boolean {
  if (command.kind === 'assign_profile') return true;
  const given = { ...command.fields, ...command.patch } as { profile_ids?: string[] | null };
  return (given.profile_ids?.length ?? 0) > 0;
}
