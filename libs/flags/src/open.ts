import { counter } from '@biz/telemetry';
import { type Client, type EvaluationDetails, NOOP_PROVIDER, OpenFeature, type Provider, ProviderEvents } from '@openfeature/server-sdk';
import { FlagFileProvider, silent } from './file-provider.ts';
import { expiredFlags, type FlagKey, flags } from './flags.ts';
import type { FlagsLog } from './log.ts';
import type { FlagsSettings } from './settings.ts';

/** For whom a flag is asked: what its rules may go by. Ids of companies and clients, never anything of a person. */
export interface FlagContext {
  readonly company_id?: string | null;
  readonly client_id?: string | null;
}

/** What a flag said. */
export interface FlagAnswer {
  readonly on: boolean;
  /** The variant's name, where there is a flag service that knows the flag. */
  readonly variant: string | undefined;
  /** OpenFeature's reason: `STATIC`, `TARGETING_MATCH`, `DEFAULT`, `ERROR` … */
  readonly reason: string;
}

export interface Flags extends AsyncDisposable {
  /** Never rejects and asks nobody over the network: when no flag service says otherwise, or it fails, the answer is the default in `flags`. */
  ask(key: FlagKey, context?: FlagContext): Promise<FlagAnswer>;
}

export interface FlagsOptions {
  readonly settings: FlagsSettings;
  /** Name of the process. */
  readonly service: string;
  readonly environment: string;
  readonly log: FlagsLog;
}

/** Patience with flagd at the start, in milliseconds. */
const PATIENCE_MS = 2_000;

let opened = 0;

/**
 * The flags of a process through OpenFeature, from a file or from flagd, as the settings say; with neither, every flag has its default. Throws when the
 * settings name both. A file that cannot be used and a flagd that is away hold up nobody: they are logged, and tried again.
 */
export async function openFlags({ settings, service, environment, log }: FlagsOptions): Promise<Flags> {
  const provider = await providerOf(settings, log);
  const domain = `${service}-${++opened}`;
  const client = OpenFeature.getClient(domain).setLogger(silent);
  tellChanges(client, log);
  const known = provider !== undefined;
  if (known) {
    await OpenFeature.setProviderAndWait(domain, provider).catch((error: Error) => {
      log.warn({ provider: provider.metadata.name, detail: error.message }, 'flags cannot be had yet; the defaults in code are used');
    });
  }
  for (const key of expiredFlags(new Date()))
    log.warn({ flag: key }, 'a release flag is past its day: it and what it hides should be gone');
  const told = new Set<string>();
  return {
    async ask(key, { company_id, client_id } = {}) {
      const fallback = flags[key].default;
      if (!known) return { on: fallback, variant: undefined, reason: 'DEFAULT' };
      // rollouts by share go by the company
      const context = {
        service,
        environment,
        ...(company_id && { company_id, targetingKey: company_id }),
        ...(client_id && { client_id }),
      };
      const details = await client.getBooleanDetails(key, fallback, context);
      count(details);
      if (details.errorCode && !told.has(`${key} ${details.errorCode}`)) {
        told.add(`${key} ${details.errorCode}`);
        log.warn(
          { flag: key, error_type: details.errorCode, value: fallback },
          'a flag cannot be evaluated; its default in code is used (said once)',
        );
      }
      return { on: details.value, variant: details.variant, reason: details.reason ?? 'UNKNOWN' };
    },
    async [Symbol.asyncDispose]() {
      if (known) await OpenFeature.setProviderAndWait(domain, NOOP_PROVIDER);
    },
  };
}

async function providerOf(settings: FlagsSettings, log: FlagsLog): Promise<Provider | undefined> {
  const { FLAGS_FILE: file, FLAGD_ADDRESS: address, FLAGD_TLS_CA_FILE: caFile } = settings;
  if (file && address) throw new Error('FLAGS_FILE and FLAGD_ADDRESS are both given: flags come from one of them.');
  if (file) return new FlagFileProvider({ file, reloadMs: settings.FLAGS_RELOAD_SECONDS * 1_000, log });
  if (!address) return undefined;
  // larger than all the rest, and not needed by most
  const { FlagdProvider } = await import('@openfeature/flagd-provider');
  const [host = '', port = ''] = address.split(':');
  return new FlagdProvider(
    {
      ...{ host, port: Number(port), tls: settings.FLAGD_TLS || caFile !== undefined, ...(caFile && { certPath: caFile }) },
      // the whole set is streamed here and evaluated here: an evaluation costs no call, and goes on while flagd is away
      resolverType: 'in-process',
      deadlineMs: PATIENCE_MS,
      keepAliveTime: 30_000,
      contextEnricher: () => ({}),
    },
    silent,
  );
}

function tellChanges(client: Client, log: FlagsLog): void {
  client.addHandler(ProviderEvents.ConfigurationChanged, (event) => log.info({ flags: event?.flagsChanged ?? [] }, 'flags have changed'));
  let away = false;
  client.addHandler(ProviderEvents.Stale, () => {
    away = true;
    log.warn({}, 'flagd is away; flags stay as they were');
  });
  client.addHandler(ProviderEvents.Ready, () => {
    if (away) log.info({}, 'flagd is there; flags are as it says');
    away = false;
  });
}

function count({ flagKey, reason = 'UNKNOWN', errorCode }: EvaluationDetails<boolean>): void {
  // names of the conventions for feature flags; both have few values
  const labels = { 'feature_flag.key': flagKey, 'feature_flag.result.reason': reason.toLowerCase() };
  counter('biz.flags.evaluations').add(1, { ...labels, ...(errorCode && { 'error.type': errorCode.toLowerCase() }) });
}
