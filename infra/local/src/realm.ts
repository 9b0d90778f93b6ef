import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { companiesOf, companyRolesOf, emailOf, nameOf, type Person, people, roles, userId } from './people.ts';

/** The client through which people log in. */
export const loginClient = 'biz-gateway';

/** Audience of access tokens that the gateway takes. */
export const audience = 'biz-api';

/** What the identity service does in Keycloak: users and their roles, and the events of logins. */
const identityServiceMay = ['manage-users', 'view-users', 'query-users', 'view-realm', 'view-events'];

const enabledEventTypes = [
  ...['LOGIN', 'LOGIN_ERROR', 'LOGOUT', 'LOGOUT_ERROR', 'CODE_TO_TOKEN', 'CODE_TO_TOKEN_ERROR'],
  ...['REFRESH_TOKEN', 'REFRESH_TOKEN_ERROR', 'CLIENT_LOGIN', 'CLIENT_LOGIN_ERROR'],
];

/**
 * The local realm as Keycloak imports it. Client scopes are not named: naming them takes the place of the built-in ones, and tokens then come
 * without `sub` and roles; so mappers are on the clients.
 */
export function realmOf(options: RealmOptions): RealmRepresentation {
  const { realm, gatewayUrl } = options;
  return {
    realm,
    enabled: true,
    sslRequired: 'none',
    loginTheme: 'keycloak',
    internationalizationEnabled: true,
    supportedLocales: ['pt-BR', 'en'],
    defaultLocale: 'pt-BR',
    accessTokenLifespan: 300,
    // The passwords are no secret here, and the default (Argon2) is half of the realm's making.
    passwordPolicy: 'hashAlgorithm(pbkdf2-sha256) and hashIterations(10000)',
    eventsEnabled: true,
    eventsExpiration: 604_800,
    eventsListeners: ['jboss-logging'],
    enabledEventTypes,
    adminEventsEnabled: true,
    adminEventsDetailsEnabled: true,
    roles: { realm: roles.map((name) => ({ name })) },
    components: {
      'org.keycloak.userprofile.UserProfileProvider': [userProfile()],
      'org.keycloak.keys.KeyProvider': keyProviders(options.signingKey),
    },
    clients: [
      {
        ...clientOf('biz-cli'),
        publicClient: true,
        directAccessGrantsEnabled: true,
        standardFlowEnabled: true,
        redirectUris: [`${gatewayUrl}/*`],
        webOrigins: [gatewayUrl],
        attributes: { 'pkce.code.challenge.method': 'S256' },
      },
      {
        ...clientOf(loginClient),
        publicClient: false,
        secret: options.gatewaySecret,
        standardFlowEnabled: true,
        directAccessGrantsEnabled: false,
        redirectUris: [`${gatewayUrl}/v1/auth/callback`],
        webOrigins: [], // or Keycloak takes those of the redirect URIs
        attributes: { 'pkce.code.challenge.method': 'S256' },
      },
      {
        ...clientOf('identity-service'),
        publicClient: false,
        secret: options.identitySecret,
        serviceAccountsEnabled: true,
        standardFlowEnabled: false,
      },
    ],
    users: [
      ...people.map(userOf),
      {
        username: 'service-account-identity-service',
        enabled: true,
        serviceAccountClientId: 'identity-service',
        clientRoles: { 'realm-management': identityServiceMay },
      },
    ],
  };
}

function clientOf(clientId: string) {
  return { clientId, enabled: true, protocolMappers: [audienceMapper(), ...claims.map(claimMapper)] };
}

/** User attributes that become claims of the access token under the same name. */
const claims = [
  { name: 'companies', multivalued: true },
  { name: 'clients', multivalued: true },
  { name: 'company_roles', multivalued: true },
  { name: 'user_id', multivalued: false },
];

function claimMapper({ name, multivalued }: { name: string; multivalued: boolean }): object {
  return {
    name,
    protocol: 'openid-connect',
    protocolMapper: 'oidc-usermodel-attribute-mapper',
    config: {
      'user.attribute': name,
      'claim.name': name,
      multivalued: String(multivalued),
      'jsonType.label': 'String',
      'access.token.claim': 'true',
      'id.token.claim': 'false',
      'userinfo.token.claim': 'false',
    },
  };
}

/** Without it access tokens name no audience of ours. */
function audienceMapper(): object {
  return {
    name: 'audience',
    protocol: 'openid-connect',
    protocolMapper: 'oidc-audience-mapper',
    config: { 'included.custom.audience': audience, 'access.token.claim': 'true', 'id.token.claim': 'false' },
  };
}

/** Keycloak drops attributes that the user profile does not declare. Only administrators may change ours: they decide on tenancy. */
function userProfile(): object {
  const own = { view: ['admin', 'user'], edit: ['admin'] };
  const attributes = [
    { name: 'username', permissions: own },
    ...['email', 'firstName', 'lastName'].map((name) => ({ name, permissions: own })),
    ...claims.map(({ name, multivalued }) => ({ name, multivalued, permissions: { view: ['admin'], edit: ['admin'] } })),
  ];
  return {
    providerId: 'declarative-user-profile',
    config: { 'kc.user.profile.config': [JSON.stringify({ attributes, unmanagedAttributePolicy: 'ADMIN_EDIT' })] },
  };
}

/** Keycloak would make two RSA keys, which takes it seconds; the one for encryption is not used. */
function keyProviders(signingKey: string): object[] {
  const provider = (providerId: string, config: Record<string, string>) => ({
    name: providerId,
    providerId,
    config: Object.fromEntries(Object.entries({ priority: '100', ...config }).map(([name, value]) => [name, [value]])),
  });
  return [
    provider('rsa', { privateKey: signingKey, algorithm: 'RS256' }),
    provider('hmac-generated', { algorithm: 'HS512' }),
    provider('aes-generated', {}),
  ];
}

/** A key that the realm signs its tokens with: RSA, 2048 bits, PKCS #8 in PEM. */
export async function makeSigningKey(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function userOf(person: Person): object {
  const [firstName, lastName] = nameOf(person).split(' ');
  return {
    username: person.username,
    enabled: true,
    email: emailOf(person),
    emailVerified: true,
    firstName,
    ...(lastName === undefined ? {} : { lastName }),
    attributes: {
      ...{ companies: companiesOf(person), clients: [...(person.clients ?? [])], company_roles: companyRolesOf(person) },
      ...{ user_id: [userId(person.username)], locale: ['pt-BR'] },
    },
    credentials: [{ type: 'password', value: person.username }],
    realmRoles: [...person.roles],
  };
}

/** The part of a realm's representation that something here reads. */
export interface RealmRepresentation {
  clients: { clientId: string; redirectUris?: string[]; webOrigins?: string[]; [member: string]: unknown }[];
  [member: string]: unknown;
}

export interface RealmOptions {
  realm: string;
  gatewayUrl: string;
  gatewaySecret: string;
  identitySecret: string;
  /** See makeSigningKey. */
  signingKey: string;
}
