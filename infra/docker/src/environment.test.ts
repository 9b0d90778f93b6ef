import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Fleet, gatewayName, gatewaySpec, repository, serviceSpec, services } from '@biz/local';
import { makeKeys } from '@biz/setup';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ComposeService, readCompose } from './compose.ts';

const compose = readCompose();
const processes = [...services.map(({ name }) => name), gatewayName];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'biz-compose-'));
  await makeKeys({ folder, realm: 'biz', publicUrl: 'https://localhost:8443' });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Read by OpenTelemetry's preload and by nothing else. */
const telemetry = [
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE',
  'OTEL_METRIC_EXPORT_INTERVAL',
  'OTEL_SERVICE_NAME',
];

const environmentOf = (name: string): Record<string, string> => compose.services[name]?.environment ?? {};

describe.each(processes)('%s', (name) => {
  test('reads every variable that it is given, and lacks none that it needs', async () => {
    const module = (await import(
      join(repository, name === gatewayName ? 'gateway' : `services/${name}`, 'src', 'config.ts')
    )) as ConfigModule;
    const known = (variable: string) =>
      module.settingNames.some((setting) => [setting, `${setting}_FILE`].includes(variable)) || telemetry.includes(variable);
    const given = environmentOf(name);
    expect(Object.keys(given).filter((variable) => !known(variable))).toEqual([]);
    const read = Object.values(module).find((member) => typeof member === 'function') as (env: object) => Record<string, unknown>;
    // as in the container, with the keys that its set-up makes
    const env = Object.fromEntries(
      Object.entries(given).map(([variable, value]) => [variable, value.replace('/home/node/keys', join(folder, name))]),
    );
    const config = read(env);
    expect(config.TLS_CERT_FILE).toBe(join(folder, name, 'certificate.pem'));
    expect(() => read({ ...env, TLS_CERT_FILE: undefined })).toThrow('TLS_CERT_FILE');
  });

  test('is given what npm start gives, but for what is told here', () => {
    const here = local[name] ?? {};
    const there = environmentOf(name);
    const only = exceptions[name] ?? {};
    const expected = new Set([...Object.keys(here), ...(only.more ?? [])].filter((variable) => !only.less?.includes(variable)));
    expect(Object.keys(there).sort()).toEqual([...expected].sort());
    for (const variable of sameEverywhere) if (variable in there) expect(there[variable], variable).toBe(here[variable]);
  });

  test('is told addresses at which somebody listens', () => {
    const told = [name, ...Object.values(environmentOf(name))].join(' ').matchAll(/(?<![\w.])([a-z][a-z-]*):(\d{4,5})\b/g);
    for (const [, host = '', port = ''] of told) {
      if (host !== 'localhost') expect(listening[host], `${host}:${port}`).toContain(port);
    }
  });
});

test('every process knows every service, at the port that it listens on', () => {
  for (const name of processes) {
    const pairs = environmentOf(name)
      .SERVICE_ADDRESSES?.split(',')
      .map((pair) => pair.split('='));
    expect(pairs?.map(([service]) => service).sort(), name).toEqual(services.map((service) => service.name).sort());
    expect(
      pairs?.every(([service, address]) => address === `${service}:50051`),
      name,
    ).toBe(true);
  }
});

test("tokens name the issuer that people's browsers see, and the gateway is told the same", () => {
  const { KC_HOSTNAME } = environmentOf('keycloak');
  const { OIDC_ISSUER, KEYCLOAK_REALM = 'biz', OIDC_BACKCHANNEL_URL, OIDC_JWKS_URL, PUBLIC_URL } = environmentOf(gatewayName);
  expect(OIDC_ISSUER).toBe(`${KC_HOSTNAME}/realms/${KEYCLOAK_REALM}`);
  expect(OIDC_JWKS_URL).toBe(`${OIDC_BACKCHANNEL_URL}/protocol/openid-connect/certs`);
  expect(environmentOf('setup-keys')).toMatchObject({ KEYCLOAK_REALM, PUBLIC_URL });
  const moved = readCompose({ KEYCLOAK_PORT: '9999', GATEWAY_PORT: '9998' }).services;
  expect(moved[gatewayName]?.environment).toMatchObject({
    OIDC_ISSUER: 'http://localhost:9999/realms/biz',
    PUBLIC_URL: 'https://localhost:9998',
  });
  expect((moved[gatewayName] as ComposeService).ports).toEqual(['127.0.0.1:9998:8443']);
  expect((moved.keycloak as ComposeService).ports).toEqual(['127.0.0.1:9999:8080']);
});

/** Ports that a container listens on: those of ours by their settings, the engines' by their images. */
const listening: Readonly<Record<string, string[]>> = {
  ...Object.fromEntries(services.map(({ name }) => [name, [environmentOf(name).GRPC_LISTEN?.split(':')[1] ?? '']])),
  kafka: [...(environmentOf('kafka').KAFKA_LISTENERS ?? '').matchAll(/:(\d+)/g)].map(([, port = '']) => port),
  mongodb: ['27017'],
  keycloak: ['8080'],
  mail: ['1025'],
  elasticsearch: ['9200'],
  collector: [environmentOf('collector').OTLP_HTTP_LISTEN?.split(':')[1] ?? ''],
};

/** What must not differ between the two ways of running the fleet. */
const sameEverywhere = [
  ...[
    'ENVIRONMENT',
    'LOG_LEVEL',
    'MONGODB_DATABASE',
    'KEYRING_DATABASE',
    'AUDIT_TOPIC',
    'DLQ_TOPIC',
    'KEYCLOAK_REALM',
    'KEYCLOAK_CLIENT_ID',
  ],
  ...[
    'OIDC_AUDIENCE',
    'OIDC_CLIENT_ID',
    'MAIL_FROM',
    'ALERT_EMAILS',
    'OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE',
    'OTEL_SERVICE_NAME',
  ],
  'OTEL_METRIC_EXPORT_INTERVAL',
];

/** Where a container is given more, or less, than the same process on the developer's machine, and why. */
const exceptions: Readonly<Record<string, { more?: string[]; less?: string[] }>> = {
  // npm start gives every service the name of the dead-letter topic, which the audit alone reads
  ...Object.fromEntries(services.filter(({ name }) => name !== 'audit').map(({ name }) => [name, { less: ['DLQ_TOPIC'] }])),
  // webhooks at home are for development; flags are as in code, or from flagd (FLAGD_ADDRESS)
  notification: { less: ['DLQ_TOPIC', 'WEBHOOK_LOOPBACK', 'FLAGS_FILE'] },
  // an Elasticsearch is always there
  security: { less: ['DLQ_TOPIC'], more: ['ELASTICSEARCH_URL'] },
  [gatewayName]: {
    // Keycloak is called by another name inside the network than by browsers
    more: ['OIDC_BACKCHANNEL_URL'],
    // lifted for tests and benchmarks
    less: ['RATE_LIMIT_ADDRESS', 'RATE_LIMIT_LOGIN', 'RATE_LIMIT_SUBJECT', 'RATE_LIMIT_COMPANY', 'PRESSURE_EVENT_LOOP_DELAY_MS'],
  },
};

const fleet: Fleet = {
  ports: Object.fromEntries(processes.map((name, index) => [name, 20_001 + index])),
  instances: 1,
  tls: { caFile: '/ca.pem', tls: () => ({ caFile: '/ca.pem', certFile: '/certificate.pem', keyFile: '/key.pem' }) },
  kekFile: '/kek',
  checkpoints: { keyFile: '/checkpoint-key', file: '/audit.jsonl' },
  mongodbUrl: 'mongodb://127.0.0.1:1',
  kafkaBrokers: '127.0.0.1:2',
  smtpUrl: 'smtp://127.0.0.1:3',
  otlpEndpoint: 'http://127.0.0.1:4',
  traces: { ELASTICSEARCH_URL: 'http://127.0.0.1:5' },
  keycloak: { url: 'http://127.0.0.1:6', realm: 'biz', identitySecretFile: '/identity', gatewaySecretFile: '/gateway' },
  sessionKeyFile: '/session-key',
  webhookKeyFile: '/webhook-key',
  flags: { FLAGS_FILE: '/flags.json' },
  security: { SECURITY_STORAGES: 'mongodb,file', SECURITY_FILE_FOLDER: '/security' },
  logLevel: 'info',
};

const local: Readonly<Record<string, Record<string, string>>> = {
  ...Object.fromEntries(services.map((service) => [service.name, serviceSpec(fleet, service).env ?? {}])),
  [gatewayName]: gatewaySpec(fleet).env ?? {},
};

interface ConfigModule {
  settingNames: readonly string[];
  [member: string]: unknown;
}
