import { readFileSync } from 'node:fs';
import { inject } from 'vitest';

/** `.local/run.json` of the fleet under test, as docs/running.md describes it. */
export type Run = {
  readonly gateway: string;
  readonly ca_file: string;
  readonly kafka_brokers: string;
  readonly mongodb_url: string;
  readonly keycloak_url: string;
  readonly realm: string;
  readonly client_id: string;
  readonly smtp_url: string | null;
  readonly mail_url: string | null;
  readonly services: Readonly<Record<string, { readonly grpc: string; readonly pid: number; readonly database: string }>>;
  readonly users: readonly {
    readonly username: string;
    readonly password: string;
    readonly roles: readonly string[];
    readonly companies: readonly string[];
  }[];
};

declare module 'vitest' {
  export interface ProvidedContext {
    /** Folder that the fleet under test keeps its data, logs and run.json in. */
    localDir: string;
  }
}

/** Folder of the fleet under test. */
export function localDir(): string {
  return inject('localDir');
}

/** Where things are now; read anew each time, for a process that was started again has another pid. */
export function currentRun(): Run {
  return JSON.parse(readFileSync(`${localDir()}/run.json`, 'utf8'));
}
