import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Fleet, gatewaySpec, instancesOf, serviceSpec, services } from './fleet.ts';
import { repository } from './layout.ts';

const ports = Object.fromEntries([...services.map(({ name }) => name), 'gateway'].map((name, index) => [name, 20_001 + index]));
const fleet: Fleet = {
  ports,
  instances: 1,
  tls: { caFile: '/tls/ca.pem', tls: (name) => ({ caFile: '/tls/ca.pem', certFile: `/tls/${name}.pem`, keyFile: `/tls/${name}-key.pem` }) },
  kekFile: '/keys/kek',
  checkpoints: { keyFile: '/keys/checkpoint-key', file: '/checkpoints/audit.jsonl' },
  mongodbUrl: 'mongodb://127.0.0.1:20100',
  kafkaBrokers: '127.0.0.1:20101',
  smtpUrl: 'smtp://127.0.0.1:20102',
  keycloak: {
    url: 'http://127.0.0.1:20103',
    realm: 'biz',
    identitySecretFile: '/keys/identity-client',
    gatewaySecretFile: '/keys/gateway-client',
  },
  sessionKeyFile: '/keys/session-key',
  webhookKeyFile: '/keys/webhook-key',
  flags: { FLAGS_FILE: '/flags.json' },
  security: { SECURITY_STORAGES: 'mongodb,file', SECURITY_FILE_FOLDER: '/security' },
  logLevel: 'info',
};

test('each service is a folder, has an address, a database and a certificate of its own, and knows all others', () => {
  const specs = services.map((service) => serviceSpec(fleet, service));
  for (const name of ['GRPC_LISTEN', 'MONGODB_DATABASE', 'TLS_CERT_FILE', 'TLS_KEY_FILE']) {
    expect(new Set(specs.map((spec) => spec.env?.[name])).size).toBe(services.length);
  }
  for (const spec of specs) {
    expect(existsSync(join(repository, 'services', spec.name, 'package.json'))).toBe(true);
    expect(spec.env?.SERVICE_ADDRESSES?.split(',')).toHaveLength(services.length);
  }
  expect(specs.map((spec) => spec.env?.MONGODB_DATABASE)).toContain('client_contractor');
});

test('instances of a service differ in name and address only, and everybody knows all of them', () => {
  const three = instancesOf('audit', 3);
  expect(three).toEqual(['audit', 'audit-2', 'audit-3']);
  const names = services.flatMap(({ name }) => instancesOf(name, 2));
  const two: Fleet = { ...fleet, instances: 2, ports: Object.fromEntries(names.map((name, index) => [name, 21_000 + index])) };
  const [service = { name: '' }] = services;
  const [first, second] = instancesOf(service.name, 2).map((name) => serviceSpec(two, service, name));
  expect([first?.name, second?.name]).toEqual(['audit', 'audit-2']);
  expect({ ...second?.env, GRPC_LISTEN: first?.env?.GRPC_LISTEN }).toEqual(first?.env);
  expect(second?.env?.GRPC_LISTEN).toBe('127.0.0.1:21001');
  expect(first?.env?.SERVICE_ADDRESSES).toContain('audit=127.0.0.1:21000|127.0.0.1:21001,cost-center=');
});

test("traces are read from telemetry's Elasticsearch, which does not become a storage of security events", () => {
  const specs = services.map((service) => serviceSpec({ ...fleet, traces: { ELASTICSEARCH_URL: 'http://127.0.0.1:20104' } }, service));
  const knowing = specs.filter(({ env }) => env?.ELASTICSEARCH_URL !== undefined);
  expect(knowing.map(({ name }) => name)).toEqual(['audit']);
});

test('the gateway knows whose tokens it takes, and how people log in', () => {
  expect(gatewaySpec(fleet).env).toMatchObject({
    OIDC_ISSUER: 'http://127.0.0.1:20103/realms/biz',
    OIDC_AUDIENCE: 'biz-api',
    GATEWAY_PORT: String(ports.gateway),
    PUBLIC_URL: `https://localhost:${ports.gateway}`,
    OIDC_CLIENT_SECRET_FILE: '/keys/gateway-client',
    SESSION_KEY_FILE: '/keys/session-key',
  });
});

test('secrets reach a process as files, never in arguments or variables', () => {
  for (const spec of [...services.map((service) => serviceSpec(fleet, service)), gatewaySpec(fleet)]) {
    const names = Object.keys(spec.env ?? {}).filter((name) => /SECRET|KEK|CHECKPOINT_KEY|SESSION_KEY|WEBHOOK_KEY|PASSWORD/.test(name));
    expect(names.filter((name) => !name.endsWith('_FILE'))).toEqual([]);
  }
});
