import { AppError } from '@biz/errors';
import { type Patch, type Stamp, type StandardCommand, standardDecision } from '@biz/resource';
import { managedRoles } from './directory.ts';

/** A profile (perfil): a named set of roles, of one company. */
export interface ProfileState {
  id: string;
  status: string;
  name: string;
  roles: string[];
}

export interface ProfileFacts {
  /** How many users have the profile; counted for `delete` alone. */
  users: number;
  /** The caller's own profiles; none for a service. */
  own: readonly ProfileState[];
}

/** A profile in use is not deleted, and nobody takes the role `admin` from themselves by changing a profile of their own. */
export function decideProfile(
  command: StandardCommand<ProfileState> & Stamp,
  state: ProfileState | undefined,
  facts: ProfileFacts,
): Patch<ProfileState> | null {
  if (command.kind === 'delete' && facts.users > 0) throw new AppError('conflict', 'The profile is in use: take it from its users first.');
  const patch = standardDecision(normal(command), state);
  if (state && patch) {
    const changed = { ...state, ...patch } as ProfileState;
    assertKeepsAdmin(
      facts.own,
      facts.own.map((profile) => (profile.id === state.id ? changed : profile)),
    );
  }
  return patch;
}

/** Profiles whose name differs in case, accents' composition or space alone have the same name. */
export function nameKey(name: string): string {
  return name.normalize('NFC').trim().replaceAll(/\s+/g, ' ').toLowerCase();
}

/** What somebody's profiles give: the roles of those that are active. */
export function rolesOf(profiles: readonly ProfileState[]): string[] {
  return normalRoles(profiles.flatMap((profile) => (profile.status === 'active' ? profile.roles : [])));
}

/**
 * Nobody takes the role `admin` from themselves: a company would be left without anyone who can give it back. `before` and `after` are the
 * caller's own profiles.
 */
export function assertKeepsAdmin(before: readonly ProfileState[], after: readonly ProfileState[]): void {
  if (rolesOf(before).includes('admin') && !rolesOf(after).includes('admin'))
    throw new AppError('conflict', 'You cannot take the role admin from yourself.');
}

function normal(command: StandardCommand<ProfileState>): StandardCommand<ProfileState> {
  if (command.kind === 'create') return { kind: 'create', fields: { ...command.fields, roles: normalRoles(command.fields.roles) } };
  if (command.kind !== 'update' || !command.patch.roles) return command;
  const roles = normalRoles(command.patch.roles);
  if (roles.length === 0) {
    throw new AppError('invalid_request', 'The request does not fit the contract.', {
      faults: [{ path: '/roles', message: 'is required' }],
    });
  }
  return { kind: 'update', patch: { ...command.patch, roles } };
}

/** Each role once, in the order of the list of roles, so that the same set is the same value. */
function normalRoles(roles: readonly string[]): string[] {
  return managedRoles.filter((role) => roles.includes(role));
}
