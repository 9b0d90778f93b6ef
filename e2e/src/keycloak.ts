import { readFileSync } from 'node:fs';
import { fetch } from 'undici';
import { currentRun, localDir } from './fleet.ts';

type KeycloakUser = { username: string; enabled: boolean; attributes?: Record<string, string[]> };

/** A user as Keycloak has it, asked with the rights of the identity service. */
export async function keycloakUser(username: string): Promise<KeycloakUser | undefined> {
  const { keycloak_url: url, realm } = currentRun();
  const secret = readFileSync(`${localDir()}/keys/identity-client`, 'utf8').trim();
  const grant = await fetch(`${url}/realms/${realm}/protocol/openid-connect/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'client_credentials', client_id: 'identity-service', client_secret: secret }),
  });
  const { access_token } = (await grant.json()) as { access_token: string };
  const answer = await fetch(`${url}/admin/realms/${realm}/users?exact=true&username=${encodeURIComponent(username)}`, {
    headers: { authorization: `Bearer ${access_token}` },
  });
  return ((await answer.json()) as KeycloakUser[])[0];
}
