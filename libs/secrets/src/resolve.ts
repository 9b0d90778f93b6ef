import { awsSecrets } from './aws.ts';
import { SecretFault, type SecretsManager } from './secrets-manager.ts';

export interface ResolveOptions {
  /** Opened only when some setting names a secret; AWS Secrets Manager when not given. */
  readonly open?: () => Promise<SecretsManager>;
  /** For all secrets together, in milliseconds; 15,000 when not given. */
  readonly timeoutMs?: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

interface Reference {
  readonly setting: string;
  /** Name or ARN. */
  readonly id: string;
  /** Of a secret that is a JSON object, the member that is meant. */
  readonly field: string | undefined;
}

const DEFAULT_TIMEOUT_MS = 15_000;

/**
 * The environment with every `NAME_SECRET` of the settings `names` replaced by `NAME` with the secret's value. It is a copy: `process.env`, which child
 * processes inherit, stays as it is. `NAME_SECRET` is `<name or ARN>`, or `<name or ARN>#<field>` for a member of a secret that is a JSON object.
 * Text loses white space at its ends, as a file's does; a binary secret becomes base64, the form in which keys are given.
 * Throws one Error that names every setting that cannot be had and why, never a value.
 */
export async function resolveSecrets(
  names: readonly string[],
  env: Environment,
  options: ResolveOptions = {},
): Promise<Record<string, string>> {
  const references = referencesOf(names, env);
  const plain = withoutUndefined(env);
  if (references.length === 0) return plain;
  const faults = references.flatMap((reference) => twiceGiven(reference, env));
  if (faults.length > 0) throw faultsOf(faults);
  const values = await readAll(references, options);
  for (const { setting } of references) delete plain[`${setting}_SECRET`];
  return { ...plain, ...values };
}

/** Only settings are looked at: `OIDC_CLIENT_SECRET` is one itself, and no reference to one. */
function referencesOf(names: readonly string[], env: Environment): Reference[] {
  return names.flatMap((setting) => {
    const given = env[`${setting}_SECRET`]?.trim();
    if (!given || names.includes(`${setting}_SECRET`)) return [];
    const mark = given.indexOf('#');
    return [mark === -1 ? { setting, id: given, field: undefined } : { setting, id: given.slice(0, mark), field: given.slice(mark + 1) }];
  });
}

function twiceGiven({ setting, id, field }: Reference, env: Environment): string[] {
  const others = [setting, `${setting}_FILE`].filter((name) => env[name]);
  if (others.length > 0) return [`${setting}_SECRET: ${others.join(' and ')} is given too; give one of them`];
  return id === '' || field === '' ? [`${setting}_SECRET: must be <secret>, or <secret>#<field>`] : [];
}

async function readAll(references: readonly Reference[], options: ResolveOptions): Promise<Record<string, string>> {
  using manager = await (options.open ?? awsSecrets)();
  const signal = AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  // one call each: BatchGetSecretValue would need a further permission, and some settings often share a secret
  const secrets = new Map([...new Set(references.map(({ id }) => id))].map((id) => [id, manager.read(id, signal)]));
  const read = await Promise.allSettled(
    references.map(async (one) => [one.setting, textOf(await secrets.get(one.id), one.field)] as const),
  );
  const faults = read.flatMap((outcome, index) => (outcome.status === 'rejected' ? [faultOf(references[index], outcome.reason)] : []));
  if (faults.length > 0) throw faultsOf(faults);
  return Object.fromEntries(read.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : [])));
}

function textOf(secret: string | Uint8Array | undefined, field: string | undefined): string {
  if (secret === undefined) throw new SecretFault('has no value');
  if (field !== undefined) return memberOf(secret, field).trim();
  return typeof secret === 'string' ? secret.trim() : Buffer.from(secret).toString('base64');
}

function memberOf(secret: string | Uint8Array, field: string): string {
  const object = typeof secret === 'string' ? jsonOf(secret) : undefined;
  if (typeof object !== 'object' || object === null || Array.isArray(object))
    throw new SecretFault('is not a JSON object, and so has no fields');
  const value = Object.hasOwn(object, field) ? (object as Record<string, unknown>)[field] : undefined;
  if (value === undefined) throw new SecretFault(`has no field "${field}"`);
  // a database's secret as AWS rotates it has its port as a number
  if (typeof value !== 'string' && typeof value !== 'number') throw new SecretFault(`has a field "${field}" that is not text`);
  return String(value);
}

/** JSON.parse tells some of the text in its message. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function faultOf(reference: Reference | undefined, reason: unknown): string {
  const why = reason instanceof SecretFault ? reason.message : `cannot be read (${(reason as Error)?.name})`;
  return `${reference?.setting}_SECRET: the secret "${reference?.id}" ${why}`;
}

function faultsOf(faults: readonly string[]): Error {
  return new Error(`Settings that stand in the secret manager cannot be had:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
}

function withoutUndefined(env: Environment): Record<string, string> {
  return Object.fromEntries(Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}
