import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { companiesOf, people } from './people.ts';

/** `run.json`: where things are while the fleet runs; a part that does not run is null. Scripts rely on these names. */
export interface RunFile {
  gateway: string;
  ca_file: string;
  kafka_brokers: string;
  mongodb_url: string;
  keycloak_url: string;
  realm: string;
  client_id: string;
  elasticsearch_url: string | null;
  /** Where spans, log records and metrics can be sent to (OTLP over HTTP). */
  otlp_endpoint: string | null;
  smtp_url: string | null;
  mail_url: string | null;
  /** The audit's signed checkpoints, kept outside the database. */
  checkpoint_file: string;
  /** `grpc` and `pid` are of the first of its `instances`. */
  services: Record<
    string,
    { grpc: string; pid: number | null; database: string; instances: { process: string; grpc: string; pid: number | null }[] }
  >;
  users: { username: string; password: string; roles: string[]; companies: string[] }[];
}

/** A URL without the password in it: the run file is read by many. */
export function withoutPassword(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/[^/@:]*):[^/@]*@/i, '$1@');
}

/** Where MongoDB is, with the password from the environment (MONGODB_URL) that the run file does not have; the environment's other servers do not count. */
export function mongodbUrlOf(run: Pick<RunFile, 'mongodb_url'>, env: NodeJS.ProcessEnv = process.env): string {
  const { MONGODB_URL: given } = env;
  return given && withoutPassword(given) === run.mongodb_url ? given : run.mongodb_url;
}

/** The users of the local realm; a password is the username. */
export function localUsers(): RunFile['users'] {
  return people.map((person) => ({
    username: person.username,
    password: person.username,
    roles: [...person.roles],
    companies: companiesOf(person),
  }));
}

/** Replaces the file in one step: a reader never sees half of it. */
export async function writeRunFile(file: string, run: RunFile): Promise<void> {
  await writeFile(`${file}.part`, `${JSON.stringify(run, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.part`, file);
}

export async function readRunFile(file: string): Promise<RunFile | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as RunFile);
}

export function removeRunFile(file: string): Promise<void> {
  return rm(file, { force: true });
}
