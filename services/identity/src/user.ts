import { AppError, type Fault } from '@biz/errors';

/** Every company: for people of the platform. */
export const everyCompany = '*';

/** A user as it is kept; personal fields are sealed. */
export type UserState = {
  id: string;
  username: string;
  status: 'active' | 'disabled' | 'deleted';
  profile_ids?: string[];
  company_ids?: string[];
  client_ids?: string[];
  locale?: string | null;
};

type Known = { readonly status: string; readonly company_id: string | null } | undefined;

/**
 * Profiles that a user may be given: they exist, are active, and belong to the user's home company (null: the platform). One of another
 * company reads as one that does not exist.
 */
export function profileFaults(ids: readonly string[], profiles: readonly Known[], home: string | null, path = '/profile_ids'): Fault[] {
  return ids.flatMap((_, index) => {
    const profile = profiles[index];
    const at = path === '/profile_ids' ? `${path}/${index}` : path;
    if (!profile || profile.status === 'deleted' || profile.company_id !== home) return [{ path: at, message: 'is not a known profile' }];
    return profile.status === 'active' ? [] : [{ path: at, message: 'is a disabled profile' }];
  });
}

/**
 * Companies that a caller may add to a user: the caller's own, or for the platform any that exists. What the user has already may stay,
 * whoever gave it.
 */
export function companyFaults(
  ids: readonly string[],
  companies: readonly Known[],
  caller: { readonly companies: readonly string[] },
  present: readonly string[],
): Fault[] {
  const platform = caller.companies.includes(everyCompany);
  return ids.flatMap((id, index) => {
    if (present.includes(id)) return [];
    if (platform && id === everyCompany) return [];
    const known = companies[index];
    const exists = known !== undefined && known.status !== 'deleted';
    return exists && (platform || caller.companies.includes(id))
      ? []
      : [{ path: `/company_ids/${index}`, message: 'is not a company of yours' }];
  });
}

/** Throws `invalid_request` when there is any fault. */
export function refuse(faults: readonly Fault[]): void {
  if (faults.length) throw new AppError('invalid_request', 'The request does not fit the contract.', { faults });
}

/** Nobody locks themselves out. */
export function assertNotOneself(actorId: string, userId: string): void {
  if (actorId === userId) throw new AppError('conflict', 'You cannot disable or delete yourself.');
}

/** Each once, in the order given. */
export function distinct(values: readonly string[]): string[] {
  return [...new Set(values)];
}
