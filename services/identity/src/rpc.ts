import type { CurrentDocument, EventStore } from '@biz/eventstore';
import { createResource, type Resource, type ResourceOptions } from '@biz/resource';
import { type Call, type CallContext, type Handler, spansCompanies } from '@biz/rpc';
import { companyLookup, type Entities } from './entities.ts';
import type { ProfileState } from './profile.ts';
import { syncMark } from './sync.ts';
import type { SyncQueue } from './sync-queue.ts';
import type { UserCommand, UserFacts, UserState } from './user.ts';

type Options = Pick<ResourceOptions<UserState, UserCommand, UserFacts>, 'store' | 'keyring' | 'environment'> & {
  readonly entities: Entities;
  readonly queue: SyncQueue;
};

/** Full names of the services that this process offers. */
export const services = ['biz.identity.v1.CompanyService', 'biz.identity.v1.ProfileService', 'biz.identity.v1.UserService'];

/** The handlers of all three services. */
export function createHandlers({ entities, queue, ...options }: Options): Record<string, Handler> {
  const { store } = options;
  const companies = createResource(entities.company, {
    ...options,
    prepare: async ({ command, context }) => ({
      platform: spansCompanies(context),
      users: command.kind === 'delete' ? await countUsers(store, companyLookup, command.id) : 0,
    }),
  });
  const profiles = createResource(entities.profile, {
    ...options,
    prepare: async ({ command, context }) => ({
      users: command.kind === 'delete' ? await countUsers(store, 'profile_id', command.id) : 0,
      own: await ownProfiles(store, context),
    }),
  });
  const users = createResource(entities.user, {
    ...options,
    prepare: async ({ command, state, company_id, context }) => userFacts(store, command, state, company_id, context),
  });
  return {
    ...companies.handlers,
    ...profiles.handlers,
    ...withSyncState(userHandlers(users), store, queue),
  };
}

function userHandlers(users: Resource<UserState, UserCommand>): Record<string, Handler> {
  const withProfile =
    (kind: UserCommand['kind']) =>
    (request: { profile_id: string }): UserCommand => ({ kind, profile_id: request.profile_id });
  return {
    ...users.handlers,
    AssignProfile: users.handler('AssignProfile', withProfile('assign_profile')),
    RemoveProfile: users.handler('RemoveProfile', withProfile('remove_profile')),
  };
}

async function countUsers(store: EventStore, lookup: string, id: string): Promise<number> {
  return store.current.countDocuments({ entity_type: 'user', [`keys.${lookup}`]: id }, { limit: 1 });
}

/** What a decision about a user needs to know of profiles and companies. */
async function userFacts(
  store: EventStore,
  command: object,
  state: UserState | undefined,
  home: string | null,
  context: CallContext,
): Promise<UserFacts> {
  const { fields, patch, profile_id } = command as { fields?: Partial<UserState>; patch?: Partial<UserState>; profile_id?: string };
  const given = { ...fields, ...patch };
  const profileIds = [...(given.profile_ids ?? []), ...(profile_id ? [profile_id] : []), ...(state?.profile_ids ?? [])];
  const [profiles, companies] = await Promise.all([
    loadAll(store, 'profile', profileIds),
    loadAll(store, 'company', given.company_ids ?? []),
  ]);
  return {
    actor: context.actor.id,
    callers: context.companies,
    clients: context.clients,
    home,
    profiles: new Map(profiles.map((entity) => [entity._id, { ...profileOf(entity), company_id: entity.company_id }])),
    companies: new Map(companies.map((entity) => [entity._id, { status: entity.status }])),
  };
}

async function ownProfiles(store: EventStore, { actor }: CallContext): Promise<ProfileState[]> {
  const own = actor.type === 'user' ? await store.load('user', actor.id) : undefined;
  const profiles = own ? await loadAll(store, 'profile', (own.state.profile_ids ?? []) as string[]) : [];
  return profiles.map(profileOf);
}

async function loadAll(store: EventStore, entityType: string, ids: readonly string[]): Promise<CurrentDocument[]> {
  const loaded = await Promise.all([...new Set(ids)].map((id) => store.load(entityType, id)));
  return loaded.filter((entity) => entity !== undefined);
}

function profileOf({ state }: CurrentDocument): ProfileState {
  return state as unknown as ProfileState;
}

type UserMessage = { id: string; sync_status?: string; sync_error?: string };

/** Users read by id or listed say whether Keycloak has their present state, and why not. */
function withSyncState(handlers: Record<string, Handler>, store: EventStore, queue: SyncQueue): Record<string, Handler> {
  const told = async (users: readonly UserMessage[]): Promise<void> => {
    const ids = users.map((user) => user.id);
    const streams = ids.map((id) => `user:${id}`);
    // in the order of their way: a change that is no longer among the one is in the other, or done
    const unqueued = await store.events.find({ [syncMark]: null, stream_id: { $in: streams } }, { projection: { stream_id: 1 } }).toArray();
    const queued = await queue.state(ids);
    for (const user of users) {
      const entry = queued.get(user.id);
      const waits = entry !== undefined || unqueued.some((event) => event.stream_id === `user:${user.id}`);
      user.sync_status = entry?.last_error ? 'refused' : waits ? 'waiting' : 'done';
      if (entry?.last_error) user.sync_error = entry.last_error;
    }
  };
  const { GetUser, ListUsers } = handlers as Record<'GetUser' | 'ListUsers', Handler>;
  return {
    ...handlers,
    GetUser: async (request, call: Call) => {
      const user = (await GetUser(request, call)) as UserMessage;
      await told([user]);
      return user;
    },
    ListUsers: async (request, call: Call) => {
      const page = (await ListUsers(request, call)) as { items: UserMessage[] };
      await told(page.items);
      return page;
    },
  };
}
