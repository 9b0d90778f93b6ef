import { type KeycloakAdmin, KeycloakRefusal } from './keycloak.ts';

/** What Keycloak has to know of a user; `id` is ours. */
export type DirectoryUser = {
  readonly id: string;
  readonly username: string;
  readonly email: string;
  /** Full name; Keycloak keeps it in two parts, cut at the first space. */
  readonly name: string;
  readonly enabled: boolean;
  readonly companies: readonly string[];
  readonly clients: readonly string[];
  readonly locale: string | undefined;
  /** Realm roles among `managedRoles` that the user has, no others. */
  readonly roles: readonly string[];
  /** Roles in one company alone, each `<company id>:<role>`. */
  readonly companyRoles: readonly string[];
};

/** The realm roles that profiles give. Others of a user are left as they are. */
export const managedRoles = ['admin', 'manager', 'auditor', 'dpo', 'user'] as const;

export type SyncOutcome = 'created' | 'updated' | 'unchanged';

/** Users of a Keycloak realm, brought to a given state. Both calls may be repeated and come in any order: they are about state, not change. */
export type Directory = {
  /** Errors: KeycloakRefusal when Keycloak does not take this user, AppError `unavailable` when it cannot be told now. */
  ensureUser(user: DirectoryUser): Promise<SyncOutcome>;
  /** Ends well when there is no such user. */
  removeUser(user: { readonly id: string; readonly username: string }): Promise<void>;
};

export function createDirectory(admin: KeycloakAdmin): Directory {
  return {
    async ensureUser(user) {
      const found = await findUser(admin, user, (other) => isSamePerson(other, user));
      if (!found) {
        const created = await createUser(admin, user);
        await ensureRoles(admin, created, user.roles);
        return 'created';
      }
      const changed = await updateUser(admin, found, user);
      const rolesChanged = await ensureRoles(admin, found.id, user.roles);
      return changed || rolesChanged ? 'updated' : 'unchanged';
    },
    async removeUser(user) {
      const found = await findUser(admin, user, () => false).catch(absentIfAnothers);
      if (found) await admin.send({ method: 'DELETE', path: `/users/${found.id}` }).catch(absentIfGone);
    },
  };
}

/**
 * The Keycloak user of ours: the one with our id, else the one with the username that may be taken over. Throws KeycloakRefusal when the
 * username is somebody else's.
 */
async function findUser(
  admin: KeycloakAdmin,
  user: { id: string; username: string },
  mayAdopt: (found: KeycloakUser) => boolean,
): Promise<KeycloakUser | undefined> {
  const marked = await search(admin, `q=${encodeURIComponent(`user_id:${user.id}`)}`);
  const own = marked.find((candidate) => ourId(candidate) === user.id);
  if (own) return own;
  const named = await search(admin, `exact=true&username=${encodeURIComponent(user.username)}`);
  const taken = named.find((candidate) => candidate.username === user.username);
  if (taken && (ourId(taken) !== undefined || !mayAdopt(taken))) throw new KeycloakRefusal(409, 'the username belongs to another user');
  return taken;
}

/**
 * Whether a user that Keycloak had before us is the same person: it has the e-mail that we know, and no company that ours lacks. Else
 * whoever may make users could take somebody's account by naming it.
 */
function isSamePerson(found: KeycloakUser, user: DirectoryUser): boolean {
  const companies = found.attributes?.companies ?? [];
  return found.email === user.email.toLowerCase() && companies.every((company) => user.companies.includes(company));
}

async function search(admin: KeycloakAdmin, query: string): Promise<KeycloakUser[]> {
  const { body } = await admin.send({ method: 'GET', path: `/users?${query}&briefRepresentation=false&max=2` });
  return Array.isArray(body) ? (body as KeycloakUser[]) : [];
}

function ourId(user: KeycloakUser): string | undefined {
  return user.attributes?.user_id?.[0];
}

async function createUser(admin: KeycloakAdmin, user: DirectoryUser): Promise<string> {
  const { createdId } = await admin.send({
    method: 'POST',
    path: '/users',
    body: { username: user.username, ...basicsOf(user), attributes: attributesOf(user) },
  });
  if (!createdId) throw new KeycloakRefusal(201, 'the answer names no user');
  return createdId;
}

/** Whether anything had to change. What Keycloak knows beside ours (other attributes, required actions) stays. */
async function updateUser(admin: KeycloakAdmin, found: KeycloakUser, user: DirectoryUser): Promise<boolean> {
  const attributes: Attributes = { ...found.attributes };
  for (const [name, values] of Object.entries(attributesOf(user))) {
    if (values.length) attributes[name] = values;
    else delete attributes[name];
  }
  const wanted = { ...found, ...basicsOf(user), attributes };
  const same =
    Object.entries(basicsOf(user)).every(([name, value]) => (found[name] ?? '') === value) &&
    Object.keys(attributesOf(user)).every((name) => sameList(found.attributes?.[name], attributes[name]));
  if (same) return false;
  await admin.send({ method: 'PUT', path: `/users/${found.id}`, body: wanted });
  return true;
}

function basicsOf(user: DirectoryUser): { enabled: boolean; email: string; firstName: string; lastName: string } {
  const [firstName = '', ...rest] = user.name.trim().split(/\s+/);
  return { enabled: user.enabled, email: user.email.toLowerCase(), firstName, lastName: rest.join(' ') };
}

function attributesOf(user: DirectoryUser): Attributes {
  return {
    user_id: [user.id],
    companies: [...user.companies],
    clients: [...user.clients],
    company_roles: [...user.companyRoles],
    locale: user.locale ? [user.locale] : [],
  };
}

/** Whether anything had to change. Roles that are taken go first: between the two requests there is less, never more. */
async function ensureRoles(admin: KeycloakAdmin, id: string, wanted: readonly string[]): Promise<boolean> {
  const path = `/users/${id}/role-mappings/realm`;
  const present = await roles(admin, path);
  const excess = present.filter(({ name }) => isManaged(name) && !wanted.includes(name));
  const missing = wanted.filter((name) => !present.some((role) => role.name === name));
  if (excess.length) await admin.send({ method: 'DELETE', path, body: excess });
  if (missing.length) {
    // what the realm has to give: needs no right to see the realm itself
    const available = await roles(admin, `${path}/available`);
    const added = available.filter(({ name }) => missing.includes(name));
    if (added.length < missing.length) throw new KeycloakRefusal(404, `the realm lacks a role of ${missing.join(', ')}`);
    await admin.send({ method: 'POST', path, body: added });
  }
  return excess.length + missing.length > 0;
}

async function roles(admin: KeycloakAdmin, path: string): Promise<Role[]> {
  const { body } = await admin.send({ method: 'GET', path });
  return Array.isArray(body) ? (body as Role[]) : [];
}

function isManaged(name: string): boolean {
  return (managedRoles as readonly string[]).includes(name);
}

function sameList(left: readonly string[] = [], right: readonly string[] = []): boolean {
  return left.length === right.length && left.every((value) => right.includes(value));
}

function absentIfGone(error: unknown): undefined {
  if (error instanceof KeycloakRefusal && error.status === 404) return undefined;
  throw error;
}

function absentIfAnothers(error: unknown): undefined {
  if (error instanceof KeycloakRefusal && error.status === 409) return undefined;
  throw error;
}

type Attributes = Record<string, string[]>;
type Role = { id: string; name: string };
type KeycloakUser = { id: string; username: string; attributes?: Attributes; [field: string]: unknown };
