import { join } from 'node:path';
import type { TlsFolder } from '@biz/pki';
import { repository } from './layout.ts';
import { audience, loginClient } from './realm.ts';
import type { ProcessSpec } from './supervisor.ts';

const READY_MS = 180_000;
/** A process drains for at most 10 s (fault 24); a little more, so that it ends by itself. */
const STOP_MS = 12_000;

/** The services: the name of one is its folder, its process and its certificate; its database is the name with underscores. */
export const services: readonly ServiceEntry[] = [
  {
    name: 'audit',
    env: (fleet) => ({
      CHECKPOINT_KEY_FILE: fleet.checkpoints.keyFile,
      CHECKPOINT_FILE: fleet.checkpoints.file,
      ...fleet.traces,
      ...fleet.reconcile,
    }),
  },
  { name: 'cost-center' },
  { name: 'client-contractor' },
  { name: 'team' },
  {
    name: 'identity',
    env: (fleet) => ({
      KEYCLOAK_URL: fleet.keycloak.url,
      KEYCLOAK_REALM: fleet.keycloak.realm,
      KEYCLOAK_CLIENT_ID: 'identity-service',
      KEYCLOAK_CLIENT_SECRET_FILE: fleet.keycloak.identitySecretFile,
    }),
  },
  {
    name: 'notification',
    env: (fleet) => ({
      SMTP_URL: fleet.smtpUrl,
      MAIL_FROM: 'Biz Retail <nao-responda@example.com>',
      WEBHOOK_KEY_FILE: fleet.webhookKeyFile,
      WEBHOOK_LOOPBACK: 'true',
      ...fleet.flags,
    }),
  },
  {
    name: 'security',
    env: (fleet) => ({ ALERT_EMAILS: 'seguranca@example.com', PUBLIC_URL: gatewayUrl(fleet), ...fleet.security }),
  },
];

export const gatewayName = 'gateway';

/** The database that a service's events and state are in. */
export function databaseOf(service: ServiceEntry): string {
  return service.name.replaceAll('-', '_');
}

/** Process names of a service's instances: the first has the service's own, the others a number behind it. */
export function instancesOf(name: string, instances: number): string[] {
  return Array.from({ length: instances }, (_, index) => (index === 0 ? name : `${name}-${index + 1}`));
}

/** Where a process listens, as gRPC clients want it. */
export function addressOf(fleet: Fleet, name: string): string {
  const port = fleet.ports[name];
  if (port === undefined) throw new Error(`no port was chosen for ${name}`);
  return `127.0.0.1:${port}`;
}

/** Where all instances of a service listen, as SERVICE_ADDRESSES has it. */
function addressesOf(fleet: Fleet, name: string): string {
  return instancesOf(name, fleet.instances)
    .map((instance) => addressOf(fleet, instance))
    .join('|');
}

export function gatewayUrl(fleet: Fleet): string {
  return `https://localhost:${fleet.ports[gatewayName]}`;
}

/** How a service is started, or another instance of it: the same in all but its name and its address. */
export function serviceSpec(fleet: Fleet, service: ServiceEntry, name: string = service.name): ProcessSpec {
  return ownSpec({
    name,
    layer: 'services',
    folder: join('services', service.name),
    env: {
      ...commonEnv(fleet, service.name),
      GRPC_LISTEN: addressOf(fleet, name),
      MONGODB_URL: fleet.mongodbUrl,
      MONGODB_DATABASE: databaseOf(service),
      KEYRING_DATABASE: 'keyring',
      KAFKA_BROKERS: fleet.kafkaBrokers,
      AUDIT_TOPIC: auditTopic.name,
      DLQ_TOPIC: deadLetterTopic.name,
      KEK_FILE: fleet.kekFile,
      ...service.env?.(fleet),
    },
  });
}

/** How the gateway is started. */
export function gatewaySpec(fleet: Fleet): ProcessSpec {
  const issuer = `${fleet.keycloak.url}/realms/${fleet.keycloak.realm}`;
  return ownSpec({
    name: gatewayName,
    layer: 'gateway',
    folder: 'gateway',
    env: {
      ...commonEnv(fleet, gatewayName),
      GATEWAY_HOST: '127.0.0.1',
      GATEWAY_PORT: String(fleet.ports[gatewayName]),
      PUBLIC_URL: gatewayUrl(fleet),
      OIDC_ISSUER: issuer,
      OIDC_AUDIENCE: audience,
      OIDC_JWKS_URL: `${issuer}/protocol/openid-connect/certs`,
      OIDC_CLIENT_ID: loginClient,
      OIDC_CLIENT_SECRET_FILE: fleet.keycloak.gatewaySecretFile,
      SESSION_KEY_FILE: fleet.sessionKeyFile,
      // tests and benchmarks ask from one address, as one user, all that the machine can do, and share it with every engine
      RATE_LIMIT_ADDRESS: '1000000',
      RATE_LIMIT_LOGIN: '1000000',
      RATE_LIMIT_SUBJECT: '1000000',
      RATE_LIMIT_COMPANY: '1000000',
      PRESSURE_EVENT_LOOP_DELAY_MS: '0',
    },
  });
}

function commonEnv(fleet: Fleet, name: string): Record<string, string> {
  const { caFile, certFile, keyFile } = fleet.tls.tls(name);
  return {
    ENVIRONMENT: 'local',
    LOG_LEVEL: fleet.logLevel,
    TLS_CA_FILE: caFile,
    TLS_CERT_FILE: certFile,
    TLS_KEY_FILE: keyFile,
    SERVICE_ADDRESSES: services.map(({ name }) => `${name}=${addressesOf(fleet, name)}`).join(','),
    ...telemetryEnv(fleet, name),
  };
}

/** OpenTelemetry's own variables (libs/telemetry/README.md); without an address the preload does nothing. Metrics leave often: people watch. */
function telemetryEnv({ otlpEndpoint, telemetry }: Fleet, name: string): Record<string, string> {
  if (!otlpEndpoint) return {};
  return {
    OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'delta',
    OTEL_METRIC_EXPORT_INTERVAL: '10000',
    ...telemetry,
    OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint,
    OTEL_SERVICE_NAME: name,
  };
}

function ownSpec(own: { name: string; layer: ProcessSpec['layer']; folder: string; env: Record<string, string> }): ProcessSpec {
  const folder = join(repository, own.folder);
  return {
    name: own.name,
    layer: own.layer,
    command: process.execPath,
    args: [
      '--conditions=source',
      '--disable-warning=TimeoutNegativeWarning',
      '--import',
      '@biz/telemetry/preload',
      join(folder, 'src', 'main.ts'),
    ],
    cwd: folder,
    env: own.env,
    ready: 'ipc',
    readyWithinMs: READY_MS,
    stopWithinMs: STOP_MS,
  };
}

/** Six partitions let six audit consumers share the work; the topic can rebuild a week of records. */
export const auditTopic = { name: 'audit', partitions: 6, retentionMs: 7 * 24 * 60 * 60 * 1000 };
export const deadLetterTopic = { name: 'audit.dlq', partitions: 1, retentionMs: 30 * 24 * 60 * 60 * 1000 };

export interface ServiceEntry {
  name: string;
  /** What it reads besides what every service reads. */
  env?: (fleet: Fleet) => Record<string, string>;
}

/** All that is known before the first process is started. */
export interface Fleet {
  /** By process name; chosen once, so that clients find a process again after it was started anew. */
  ports: Readonly<Record<string, number>>;
  /** Processes of each service. */
  instances: number;
  tls: TlsFolder;
  kekFile: string;
  /** The key that the audit's checkpoints are signed with, and the file outside the database that they are kept in. */
  checkpoints: { keyFile: string; file: string };
  mongodbUrl: string;
  kafkaBrokers: string;
  smtpUrl: string;
  /** Where processes send spans, log records and metrics (OTLP over HTTP), whether anybody listens there yet or not; undefined when telemetry is off. */
  otlpEndpoint?: string | undefined;
  /** Further settings of OpenTelemetry (OTEL_…) that the start was given. */
  telemetry?: Readonly<Record<string, string>>;
  /** Where the audit reads traces, and how it gets in there (ELASTICSEARCH_…, TRACE…). */
  traces?: Readonly<Record<string, string>>;
  /** The secrets are of the identity service's client and of the one that people log in through. */
  keycloak: { url: string; realm: string; identitySecretFile: string; gatewaySecretFile: string };
  /** Sessions of people are sealed with it. */
  sessionKeyFile: string;
  /** The secrets of webhooks are made from it. */
  webhookKeyFile: string;
  /** Where feature flags come from (FLAGS_FILE or FLAGD_…). */
  flags: Readonly<Record<string, string>>;
  /** Settings of the security service: its storages and where they are. */
  security: Readonly<Record<string, string>>;
  logLevel: string;
  /** Settings of the audit's comparison with the services (RECONCILE_…) that the start was given. */
  reconcile?: Readonly<Record<string, string>>;
}
