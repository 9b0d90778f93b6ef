// What benchmarks measure; the gateway itself is started by main.ts.
export { createAuthenticator } from './auth.ts';
export { readGatewayConfig } from './config.ts';
export { callContext } from './context.ts';
export { startGateway } from './service.ts';
