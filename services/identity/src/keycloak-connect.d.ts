/** The part of keycloak-connect that works outside Express; the package's own types cover its middleware only. */
declare module 'keycloak-connect/middleware/auth-utils/grant-manager.js' {
  export default class GrantManager {
    constructor(config: { realmUrl: string; clientId: string; secret: string; minTimeBetweenJwksRequests?: number });
    /** Turns the text of the token endpoint's answer into a grant. */
    createGrant(raw: string): unknown;
    /** Service-account grant (RFC 6749, section 4.4); resolves to what `createGrant` gave. Has no time limit of its own. */
    obtainFromClientCredentials(): Promise<unknown>;
  }
}
