import { AppError } from '@biz/errors';

/** A profile (perfil): a named set of roles, of one company. */
export type ProfileState = {
  id: string;
  name: string;
  roles: string[];
  status: 'active' | 'disabled' | 'deleted';
};

/** Profiles whose name differs in case, accents' composition or space alone have the same name. */
export function nameKey(name: string): string {
  return name.normalize('NFC').trim().replaceAll(/\s+/g, ' ').toLowerCase();
}

/** Each role once, in the order of the list of roles, so that the same set is the same value. */
export function normalRoles(roles: readonly string[]): string[] {
  return ['admin', 'manager', 'auditor', 'dpo', 'user'].filter((role) => roles.includes(role));
}

export function assertUnused(users: number): void {
  if (users > 0) throw new AppError('conflict', 'The profile is in use: take it from its users first.');
}

/** What somebody's profiles give: the roles of those that are active. */
export function rolesOf(profiles: readonly (ProfileState | undefined)[]): string[] {
  return normalRoles(profiles.flatMap((profile) => (profile?.status === 'active' ? profile.roles : [])));
}

/**
 * Nobody takes the role `admin` from themselves: a company would be left without anyone who can give it back. `before` and `after` are the
 * caller's own profiles.
 */
export function assertKeepsAdmin(before: readonly (ProfileState | undefined)[], after: readonly (ProfileState | undefined)[]): void {
  if (rolesOf(before).includes('admin') && !rolesOf(after).includes('admin'))
    throw new AppError('conflict', 'You cannot take the role admin from yourself.');
}
