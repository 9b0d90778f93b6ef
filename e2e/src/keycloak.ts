import { readFileSync } from 'node:fs';
import { fetch } from 'undici';
import { currentRun, localDir } from './fleet.ts';

type KeycloakUser = { username: string; enabled: boolean; attributes?: Record<string, string[]> };

/** A user as Keycloak's administrator sees it. */
export async function keycloakUser(username: string): Promise<KeycloakUser | undefined> {
  const { keycloak_url: url, realm } = currentRun();
  const grant = await fetch(`${url}/realms/master/protocol/openid-connect/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'password',
      client_id: 'admin-cli',
      username: 'admin',
      password: readFileSync(`${localDir()}/keys/keycloak-admin`, 'utf8').trim(),
    }),
  });
  const { access_token } = (await grant.json()) as { access_token: string };
  const answer = await fetch(`${url}/admin/realms/${realm}/users?exact=true&username=${encodeURIComponent(username)}`, {
    headers: { authorization: `Bearer ${access_token}` },
  });
  return ((await answer.json()) as KeycloakUser[])[0];
}
