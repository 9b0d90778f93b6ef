export { actingRole, assertMay } from './access.ts';
export type { Call, Handler, Handlers, RpcLog, RpcServerOptions, StreamHandler } from './call.ts';
export { createRpcClient, type RpcClient, type RpcClientOptions } from './client.ts';
export { type CallContext, contextKey, everyCompany, serviceContext, spansCompanies } from './context.ts';
export { limits as rpcLimits } from './limits.ts';
export { createRpcServer, type RpcServer } from './server.ts';
export { fromServiceError, statusOf } from './status.ts';
export { clientCredentials, processOf, type TlsFiles } from './tls.ts';
