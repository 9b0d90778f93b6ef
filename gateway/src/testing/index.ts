export { auditor, type FeedFleet, feedFleet } from './feed.ts';
export { type TestFleet, testFleet } from './fleet.ts';
export { type Answer, type TestGateway, testGateway } from './gateway.ts';
export { type Behaviour, goodClaims, type TestIssuer, testIssuer } from './issuer.ts';
export { type TestRealm, testRealm } from './realm.ts';
export { type Received, someId, type TestServices, testServices } from './services.ts';
