/** The part of keycloak-connect that works outside Express; the package's own types cover its middleware only. */
declare module 'keycloak-connect/middleware/auth-utils/grant-manager.js' {
  export interface Token {
    readonly token: string;
    /** The claims, read but not verified. */
    readonly content: { readonly exp?: number; readonly iat?: number };
    isExpired(): boolean;
  }
  export interface Grant {
    readonly access_token?: Token;
    readonly refresh_token?: Token;
    readonly id_token?: Token;
    isExpired(): boolean;
  }
  export default class GrantManager {
    constructor(config: { realmUrl: string; clientId: string; secret: string; minTimeBetweenJwksRequests?: number });
    /** Turns the token endpoint's answer, or its text, into a grant; calls `validateGrant` for it. */
    createGrant(raw: string | object): unknown;
    /** Whether `createGrant` refreshes a grant that comes expired. */
    isGrantRefreshable(grant: Grant): boolean;
    /** Resolves to the grant when its tokens are good. */
    validateGrant(grant: Grant): Promise<Grant>;
    /** Refreshes an expired grant (RFC 6749, section 6) and resolves to what `createGrant` gave. Has no time limit of its own. */
    ensureFreshness(grant: Grant): Promise<unknown>;
    /** Service-account grant (RFC 6749, section 4.4); resolves to what `createGrant` gave. Has no time limit of its own. */
    obtainFromClientCredentials(): Promise<unknown>;
  }
}
