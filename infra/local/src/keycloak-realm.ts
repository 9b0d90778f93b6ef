import { setTimeout as pause } from 'node:timers/promises';
import type { RealmRepresentation } from './realm.ts';

const TIMEOUT_MS = 60_000;

/**
 * Makes sure that Keycloak has the realm: makes it through the admin API when it is not there, and touches nothing when it is. Gives whether
 * it was made. Throws one clear line when it is not there and may not be made.
 */
export async function ensureRealm(options: EnsureRealmOptions): Promise<boolean> {
  const { url, realm, admin } = options;
  if (await realmExists(url, realm)) return false;
  if (admin === undefined) {
    throw new Error(`Keycloak at ${url} has no realm "${realm}", and to make it KEYCLOAK_ADMIN and KEYCLOAK_ADMIN_PASSWORD are needed`);
  }
  const token = await adminToken(url, admin);
  const made = await fetch(`${url}/admin/realms`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(options.representation),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (made.status === 409) return false; // another start made it meanwhile
  if (!made.ok) throw new Error(`Keycloak refused to make the realm "${realm}": ${made.status} ${(await made.text()).slice(0, 300)}`);
  return true;
}

/**
 * Makes the clients of a realm that is there already come back to the addresses that the representation names: redirect URIs and web origins
 * follow the gateway when it moves.
 */
export async function followAddresses(options: Required<EnsureRealmOptions> & { admin: Credentials }): Promise<void> {
  const { url, realm, admin, representation } = options;
  const headers = { authorization: `Bearer ${await adminToken(url, admin)}`, 'content-type': 'application/json' };
  const clients = `${url}/admin/realms/${realm}/clients`;
  for (const { clientId, redirectUris, webOrigins = [] } of representation.clients) {
    if (redirectUris === undefined) continue;
    const found = await fetch(`${clients}?clientId=${clientId}`, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
    const [client] = found.ok ? ((await found.json()) as Client[]) : [];
    if (client === undefined || (sameTexts(client.redirectUris, redirectUris) && sameTexts(client.webOrigins, webOrigins))) continue;
    const changed = await fetch(`${clients}/${client.id}`, {
      method: 'PUT',
      headers,
      body: JSON.stringify({ ...client, redirectUris, webOrigins }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (!changed.ok) throw new Error(`Keycloak refused to move the client "${clientId}": ${changed.status}`);
  }
}

function sameTexts(one: readonly string[] = [], other: readonly string[]): boolean {
  return one.toSorted().join(' ') === other.toSorted().join(' ');
}

/** An access token by password grant; public clients only. */
export async function passwordToken(options: PasswordGrant): Promise<string> {
  const { url, realm, clientId, username, password } = options;
  const answer = await fetch(`${url}/realms/${realm}/protocol/openid-connect/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'password', client_id: clientId, username, password }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!answer.ok) throw new Error(`Keycloak gave ${username} no token: ${answer.status} ${(await answer.text()).slice(0, 300)}`);
  return ((await answer.json()) as { access_token: string }).access_token;
}

/** A Keycloak that is just starting answers its first requests slowly, or not yet. */
async function realmExists(url: string, realm: string): Promise<boolean> {
  for (const deadline = Date.now() + TIMEOUT_MS; ; ) {
    const answer = await fetch(`${url}/realms/${realm}`, { signal: AbortSignal.timeout(10_000) }).catch((error: unknown) => error as Error);
    if (answer instanceof Response && answer.status < 500) return answer.ok;
    if (Date.now() > deadline) {
      throw new Error(`Keycloak at ${url} does not answer: ${answer instanceof Response ? answer.status : answer.message}`);
    }
    await pause(500);
  }
}

function adminToken(url: string, admin: Credentials): Promise<string> {
  return passwordToken({ url, realm: 'master', clientId: 'admin-cli', ...admin });
}

interface Credentials {
  username: string;
  password: string;
}

interface Client {
  id: string;
  redirectUris?: string[];
  webOrigins?: string[];
}

interface PasswordGrant extends Credentials {
  url: string;
  realm: string;
  clientId: string;
}

interface EnsureRealmOptions {
  url: string;
  realm: string;
  /** An administrator of the master realm. */
  admin: Credentials | undefined;
  /** The realm as Keycloak imports it. */
  representation: RealmRepresentation;
}
