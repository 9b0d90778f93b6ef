import type { EntityRules } from '@biz/eventstore';
import type { CompanyState } from './company.ts';
import { nameKey, type ProfileState } from './profile.ts';
import type { UserState } from './user.ts';

/** What lists and reactions find entities by, and what is unique, by entity type. */
export const entityRules: Record<'company' | 'profile' | 'user', EntityRules> = {
  company: {
    claims: ({ state }) => [{ name: 'cnpj', key: `cnpj:${(state as CompanyState).cnpj}` }],
  },
  profile: {
    claims: ({ company_id, state }) => [{ name: 'name', key: `profile:${company_id}:${nameKey((state as ProfileState).name)}` }],
  },
  user: {
    keys: ({ state, blind_indexes }) => {
      const { username, profile_ids = [], company_ids = [] } = state as UserState;
      return { username, profile_id: profile_ids, company_id: company_ids, ...(blind_indexes.email && { email: blind_indexes.email }) };
    },
    claims: ({ company_id, state, blind_indexes }) => [
      { name: 'username', key: `username:${(state as UserState).username}` },
      ...(blind_indexes.document ? [{ name: 'document', key: `document:${company_id}:${blind_indexes.document}` }] : []),
    ],
  },
};
