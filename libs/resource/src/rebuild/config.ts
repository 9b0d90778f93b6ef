import { parseArgs } from 'node:util';
import { readConfig, serviceShape, withSecrets } from '@biz/service';
import { z } from 'zod';

export interface RebuildArguments {
  /** Report only. */
  dryRun: boolean;
  /** First have the audit give back the events that are missing. */
  fromAudit: boolean;
}

export const usage = `options:
  --dry-run      change nothing, tell what differs; ends with 1 when anything does
  --from-audit   first insert the events that the audit has and the store has not`;

/** Throws what `parseArgs` of Node says of an unknown option. */
export function readArguments(args: readonly string[]): RebuildArguments {
  const { values } = parseArgs({ args: [...args], options: { 'dry-run': { type: 'boolean' }, 'from-audit': { type: 'boolean' } } });
  return { dryRun: values['dry-run'] === true, fromAudit: values['from-audit'] === true };
}

const stores = { MONGODB_URL: serviceShape.MONGODB_URL, LOG_LEVEL: serviceShape.LOG_LEVEL };
const { TLS_CA_FILE, TLS_CERT_FILE, TLS_KEY_FILE, TLS_RELOAD_SECONDS, SERVICE_ADDRESSES } = serviceShape;
const fleet = {
  ...{ TLS_CA_FILE, TLS_CERT_FILE, TLS_KEY_FILE, TLS_RELOAD_SECONDS },
  SERVICE_ADDRESSES: SERVICE_ADDRESSES.refine((known) => known.audit !== undefined, 'must name the address of audit'),
};

export interface RebuildConfig {
  LOG_LEVEL: string;
  MONGODB_URL: string;
  MONGODB_DATABASE: string;
  /** Where the audit is, and as whom it is asked; only when it is. */
  audit?: { address: string; tls: { caFile: string; certFile: string; keyFile: string; reloadMs: number } };
}

/** The part of a service's environment that a rebuild needs: no key, no broker. Throws an Error that names every fault. */
export async function readRebuildConfig(
  process: string,
  { fromAudit }: RebuildArguments,
  given: NodeJS.ProcessEnv,
): Promise<RebuildConfig> {
  const env = await withSecrets(Object.keys(stores), given);
  const database = { MONGODB_DATABASE: z.string().min(1).default(process.replaceAll('-', '_')) };
  if (!fromAudit) return readConfig({ ...stores, ...database }, env);
  const { SERVICE_ADDRESSES: addresses, ...read } = readConfig({ ...stores, ...database, ...fleet }, env);
  const tls = {
    caFile: read.TLS_CA_FILE,
    certFile: read.TLS_CERT_FILE,
    keyFile: read.TLS_KEY_FILE,
    reloadMs: read.TLS_RELOAD_SECONDS * 1_000,
  };
  return { ...read, audit: { address: addresses.audit ?? '', tls } };
}
