import type { CurrentDocument, EventDocument, EventStore } from '@biz/eventstore';
import { type Keyring, openFields } from '@biz/sealing';
import type { DirectoryUser } from './directory.ts';
import { companyLookup } from './entities.ts';
import type { ProfileState } from './profile.ts';
import type { UserState } from './user.ts';

/** What Keycloak should know of a user: nothing more (`absent`), or this. */
export type Wanted = { readonly absent: { id: string; username: string } } | { readonly present: DirectoryUser };

/**
 * What Keycloak should know of a user now, from the folds: so it does not matter which changes led there, nor how often they are told. A
 * user whose data was erased is no user any more. Undefined when there never was one.
 */
export async function wantedUser(store: EventStore, keyring: Pick<Keyring, 'open'>, userId: string): Promise<Wanted | undefined> {
  const entity = await store.load('user', userId);
  if (!entity) return undefined;
  const state = entity.state as unknown as UserState;
  const absent = { absent: { id: userId, username: state.username } };
  if (entity.status === 'deleted') return absent;
  const [opened] = await openFields(keyring, [{ company_id: entity.company_id, data: entity.state }]);
  if (!opened || opened.invalid.length) throw new Error(`the sealed fields of user ${userId} do not open`);
  if (opened.erased.length) return absent;
  const { email, name } = opened.data as { email: string; name: string };
  const profiles = await Promise.all((state.profile_ids ?? []).map((id) => store.load('profile', id)));
  const companies = await Promise.all((state.company_ids ?? []).map((id) => (id === '*' ? id : store.load('company', id))));
  return {
    present: {
      id: userId,
      username: state.username,
      email,
      name,
      enabled: entity.status === 'active',
      companies: companies.flatMap((company) => (company === '*' ? company : isActive(company) ? company._id : [])),
      clients: state.client_ids ?? [],
      locale: state.locale ?? undefined,
      ...rolesOf(profiles.filter(isActive), entity.company_id),
    },
  };
}

/**
 * A profile of the user's home (or of the platform) gives roles wherever the user may act; one of another company gives them there alone.
 */
function rolesOf(profiles: readonly CurrentDocument[], home: string | null): Pick<DirectoryUser, 'roles' | 'companyRoles'> {
  const given = profiles.flatMap(({ company_id, state }) => (state as unknown as ProfileState).roles.map((role) => ({ company_id, role })));
  const isEverywhere = (company_id: string | null) => company_id === null || company_id === home;
  return {
    roles: [...new Set(given.flatMap(({ company_id, role }) => (isEverywhere(company_id) ? role : [])))],
    companyRoles: [...new Set(given.flatMap(({ company_id, role }) => (isEverywhere(company_id) ? [] : `${company_id}:${role}`)))],
  };
}

/** The users whose state in Keycloak an event may change. */
export async function usersConcerned(store: EventStore, event: EventDocument): Promise<string[]> {
  const { entity_type, entity_id } = event.meta;
  if (entity_type === 'user') return [entity_id];
  const key = { profile: 'keys.profile_id', company: `keys.${companyLookup}` }[entity_type];
  if (!key || !changesUsers(event)) return [];
  const users = await store.current.find({ entity_type: 'user', [key]: entity_id }, { projection: { _id: 1 } }).toArray();
  return users.map((user) => user._id);
}

/** A company's or profile's new name changes nothing for its users. */
function changesUsers({ meta, data }: EventDocument): boolean {
  return meta.action_type !== 'new' && ('status' in data || 'roles' in data);
}

function isActive(entity: CurrentDocument | undefined): entity is CurrentDocument {
  return entity?.status === 'active';
}
