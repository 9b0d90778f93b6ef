import { AppError, type Fault } from '@biz/errors';
import { type Patch, type Sealable, type Stamp, type StandardCommand, standardDecision } from '@biz/resource';
import { everyCompany } from '@biz/rpc';
import { assertKeepsAdmin, type ProfileState } from './profile.ts';

/** A user: a person who logs in, and a data subject. The company of the entity is the user's home. */
export interface UserState {
  id: string;
  status: string;
  username: string;
  email: Sealable<string>;
  name: Sealable<string>;
  document?: Sealable<string> | null;
  profile_ids?: string[];
  /** Companies that the user may act for; `*` is every one. */
  company_ids?: string[];
  client_ids?: string[];
  locale?: string | null;
}

export type UserCommand = { kind: 'assign_profile'; profile_id: string } | { kind: 'remove_profile'; profile_id: string };

export interface UserFacts {
  /** Id of the user or service that asks. */
  actor: string;
  /** Companies of the caller; `*` is every one. */
  callers: readonly string[];
  /** Clients of the caller; empty: every client of the caller's companies. */
  clients: readonly string[];
  /** The user's home. */
  home: string | null;
  /** Profiles named by the command or held by the user, and the companies that the command names, by their ids. */
  profiles: ReadonlyMap<string, ProfileState & { company_id: string | null }>;
  companies: ReadonlyMap<string, { status: string }>;
}

type Given = { profile_ids?: string[]; company_ids?: string[]; client_ids?: string[]; document?: Sealable<string> | null };

/** Who may be given what; nobody disables or deletes themselves, or takes the role `admin` from themselves. */
export function decideUser(
  command: (StandardCommand<UserState> | UserCommand) & Stamp,
  state: UserState | undefined,
  facts: UserFacts,
): Patch<UserState> | null {
  switch (command.kind) {
    case 'create': {
      const company_ids = command.fields.company_ids ?? (facts.home === null ? [] : [facts.home]);
      const fields = { ...command.fields, ...normal({ ...command.fields, company_ids }) };
      refuse([...nameFaults(fields.username), ...givenFaults(fields, undefined, facts)]);
      return standardDecision({ kind: 'create', fields }, state);
    }
    case 'update': {
      const patch = { ...command.patch, ...normal(command.patch as Given) };
      refuse(givenFaults(patch as Given, state, facts));
      return unlessSelfDemotion(standardDecision({ kind: 'update', patch }, state), state, facts);
    }
    case 'assign_profile': {
      const present = state?.profile_ids ?? [];
      if (present.includes(command.profile_id)) return null;
      refuse(profileFaults([command.profile_id], [], state?.company_ids, facts).map(({ message }) => ({ path: '/profile_id', message })));
      return { profile_ids: [...present, command.profile_id] };
    }
    case 'remove_profile': {
      const present = state?.profile_ids ?? [];
      if (!present.includes(command.profile_id)) return null;
      return unlessSelfDemotion({ profile_ids: present.filter((id) => id !== command.profile_id) }, state, facts);
    }
    case 'disable':
    case 'delete':
      if (facts.actor === state?.id) throw new AppError('conflict', 'You cannot disable or delete yourself.');
      return standardDecision(command, state);
    default:
      return standardDecision(command, state);
  }
}

/** Lists have each value once; a CPF has digits alone. */
function normal({ profile_ids, company_ids, client_ids, document }: Given): Given {
  return {
    ...(profile_ids && { profile_ids: distinct(profile_ids) }),
    ...(company_ids && { company_ids: distinct(company_ids) }),
    ...(client_ids && { client_ids: distinct(client_ids) }),
    ...(typeof document === 'string' && { document: document.replaceAll(/\D/g, '') }),
  };
}

/** Faults of what is given anew; what the user has already may stay, whoever gave it. */
function givenFaults(
  { profile_ids = [], company_ids: given, client_ids = [] }: Given,
  state: UserState | undefined,
  facts: UserFacts,
): Fault[] {
  return [
    ...profileFaults(profile_ids, state?.profile_ids ?? [], given ?? state?.company_ids, facts),
    ...companyFaults(given ?? [], state?.company_ids ?? [], facts),
    ...clientFaults(client_ids, state?.client_ids ?? [], facts),
  ];
}

/** Keycloak names the accounts of services so. */
function nameFaults(username: string): Fault[] {
  return username.startsWith('service-account-') ? [{ path: '/username', message: 'is reserved' }] : [];
}

/**
 * Profiles exist, are active and belong to the user's home (null: the platform), or to another company of the user's that the caller has, too:
 * then they give roles in that company alone. Any other reads as one that is not there.
 */
function profileFaults(
  ids: readonly string[],
  present: readonly string[],
  companies: readonly string[] | undefined,
  { profiles, home, callers }: UserFacts,
): Fault[] {
  const isOfUser = (company: string | null) =>
    company === home ||
    (company !== null && companies?.includes(company) === true && (callers.includes(company) || callers.includes(everyCompany)));
  return ids.flatMap((id, index) => {
    const path = `/profile_ids/${index}`;
    const profile = profiles.get(id);
    if (present.includes(id)) return [];
    if (!profile || profile.status === 'deleted' || !isOfUser(profile.company_id)) return [{ path, message: 'is not a known profile' }];
    return profile.status === 'active' ? [] : [{ path, message: 'is a disabled profile' }];
  });
}

/**
 * A caller gives only companies that the caller has; the platform any that exists, and all of them. Who has all of them has no home: no
 * company's admin could then change the e-mail of such an account, and take it.
 */
function companyFaults(ids: readonly string[], present: readonly string[], { companies, callers, home }: UserFacts): Fault[] {
  const platform = callers.includes(everyCompany);
  return ids.flatMap((id, index) => {
    if (id === home || present.includes(id) || (platform && id === everyCompany && home === null)) return [];
    const exists = companies.has(id) && companies.get(id)?.status !== 'deleted';
    if (exists && (platform || callers.includes(id))) return [];
    return [{ path: `/company_ids/${index}`, message: 'is not a company of yours' }];
  });
}

/** A caller who is bound to some clients gives only those. */
function clientFaults(ids: readonly string[], present: readonly string[], { clients }: UserFacts): Fault[] {
  return ids.flatMap((id, index) =>
    clients.length === 0 || clients.includes(id) || present.includes(id)
      ? []
      : [{ path: `/client_ids/${index}`, message: 'is not a client of yours' }],
  );
}

function unlessSelfDemotion(patch: Patch<UserState> | null, state: UserState | undefined, facts: UserFacts): Patch<UserState> | null {
  if (patch?.profile_ids && state?.id === facts.actor) {
    const held = (ids: readonly string[] = []) => ids.flatMap((id) => facts.profiles.get(id) ?? []);
    assertKeepsAdmin(held(state.profile_ids), held(patch.profile_ids));
  }
  return patch;
}

function refuse(faults: readonly Fault[]): void {
  if (faults.length) throw new AppError('invalid_request', 'The request does not fit the contract.', { faults });
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)];
}
