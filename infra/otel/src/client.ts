import { readFileSync } from 'node:fs';
import { Client } from '@elastic/elasticsearch';

/** A client of the Elasticsearch that telemetry goes to; one address, or several of one cluster with commas between. */
export function telemetryClient(place: Place): Client {
  const { url, apiKey, username, password, caFile, requestMs = 30_000 } = place;
  return new Client({
    nodes: url.split(',').map((one) => one.trim()),
    ...(apiKey ? { auth: { apiKey } } : username ? { auth: { username, password: password ?? '' } } : {}),
    ...(caFile && { tls: { ca: readFileSync(caFile, 'utf8') } }),
    requestTimeout: requestMs,
    maxRetries: 1,
  });
}

interface Place {
  url: string;
  apiKey?: string | undefined;
  username?: string | undefined;
  password?: string | undefined;
  caFile?: string | undefined;
  requestMs?: number;
}
