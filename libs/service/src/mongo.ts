import { MongoClient } from 'mongodb';

/** Longest wait for a server to choose, and for one operation, in milliseconds: an engine that is away becomes 503 well before the caller's deadline. */
export const mongoTimeouts = { serverSelectionMs: 4_000, operationMs: 8_000 };

/**
 * A client of the official driver with the durability that every acknowledgement rests on: `w: majority`, `j: true`. It does not wait for
 * the server to be there; operations do, for `mongoTimeouts`.
 */
export function connectMongo(url: string, options: { readonly appName: string; readonly maxPoolSize?: number }): MongoClient {
  return new MongoClient(url, {
    appName: options.appName,
    maxPoolSize: options.maxPoolSize ?? 30,
    writeConcern: { w: 'majority', j: true },
    retryWrites: true,
    retryReads: true,
    serverSelectionTimeoutMS: mongoTimeouts.serverSelectionMs,
    connectTimeoutMS: mongoTimeouts.serverSelectionMs,
    socketTimeoutMS: mongoTimeouts.operationMs,
    waitQueueTimeoutMS: mongoTimeouts.serverSelectionMs,
    ignoreUndefined: true,
    promoteLongs: true,
  });
}
