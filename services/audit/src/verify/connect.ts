import { MongoClient } from 'mongodb';

/** Longest wait for a server to choose, and for one answer, in ms: a store without its indexes looks through all records to find the versions of an entity. */
const SELECTION_MS = 5_000;
const ANSWER_MS = 10 * 60_000;

/** A client that only reads, and is patient. It does not wait for the server to be there; `connect` does. */
export function connectToRead(url: string): MongoClient {
  return new MongoClient(url, {
    appName: 'audit-verification',
    maxPoolSize: 4,
    retryReads: true,
    serverSelectionTimeoutMS: SELECTION_MS,
    connectTimeoutMS: SELECTION_MS,
    socketTimeoutMS: ANSWER_MS,
  });
}
