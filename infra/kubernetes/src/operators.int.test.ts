import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { auditTopic, databaseOf, deadLetterTopic, plainProgress, repository, services } from '@biz/local';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { customFaults, isCustom } from './custom-resources.ts';
import { type Manifest, Manifests, manifestFolder, manifestsOf } from './manifests.ts';
import { kustomizer, schemaChecker } from './tools.ts';

const render = await kustomizer(plainProgress('kustomize'));
const folder = await manifestFolder();
const scaler = 'kafka-scaler';
const names = services.map(({ name }) => name);
/** The first run on a machine fetches and builds. */
const firstTime = 600_000;
let text = '';
let engines = new Manifests([]);
/** The production overlay with the component that joins it to these engines. */
let fleet = new Manifests([]);
afterAll(() => folder[Symbol.dispose]());

describe.skipIf(render === undefined)('the engines by operators', () => {
  beforeAll(async () => {
    text = (await render?.(folder.operators)) ?? '';
    engines = new Manifests(manifestsOf(text));
    const production = folder.of('production');
    appendFileSync(join(production, 'kustomization.yaml'), 'components: [../../operators/trust]\n');
    fleet = new Manifests(manifestsOf((await render?.(production)) ?? ''));
  }, firstTime);

  test('are what Kubernetes and the operators take', { timeout: firstTime }, async () => {
    const file = join(folder.folder, 'operators.yaml');
    writeFileSync(file, text);
    const check = await schemaChecker(plainProgress('kubernetes-validate'));
    expect(await check(file)).toEqual([]);
    expect(engines.all.filter(isCustom).flatMap(customFaults)).toEqual([]);
    expect(engines.all.every(({ kind, metadata }) => kind === 'Namespace' || metadata.namespace === 'biz-engines')).toBe(true);
  });

  test.each([
    ['Kafka', { kafka: {}, entityOperators: {} }, ['spec.kafka.listeners is missing', 'spec.entityOperators is not']],
    ['KafkaUser', { authentication: { type: 'scram' } }, ['spec.authentication.type is none of']],
    ['KafkaTopic', { partitions: '6' }, ['spec.partitions is no integer']],
    ['PerconaServerMongoDB', { users: [{ name: 'team', db: 'admin', role: [] }] }, ['users.0.roles is missing', 'users.0.role is not']],
    ['Keycloak', { instances: 2, tls: {} }, ['spec.tls is not a field']],
  ])('a fault in a %s is named', (kind, spec, faults) => {
    const [manifest] = engines.of(kind) as [Manifest];
    expect(customFaults(manifest)).toEqual([]);
    const found = customFaults({ ...manifest, spec });
    expect(found).toEqual(expect.arrayContaining(faults.map((fault) => expect.stringContaining(fault))));
  });

  test('the topics are those that the fleet makes elsewhere, three times, two of which have a message', () => {
    const topics = engines.of('KafkaTopic').map(({ metadata: { name }, spec }) => ({ name, ...spec }));
    const config = (retentionMs: number) => ({ 'retention.ms': retentionMs, 'min.insync.replicas': 2 });
    expect(topics).toEqual(
      [auditTopic, deadLetterTopic].map(({ name, partitions, retentionMs }) => ({
        ...{ name, partitions, replicas: 3, config: config(retentionMs) },
      })),
    );
    const { kafka } = engines.get('Kafka', 'kafka').spec as { kafka: { config: Record<string, unknown> } };
    expect(kafka.config).toMatchObject({ 'default.replication.factor': 3, 'min.insync.replicas': 2, 'auto.create.topics.enable': false });
  });

  test('brokers listen where the fleet looks for them, by TLS and SCRAM, with a certificate for those names', () => {
    const { kafka } = engines.get('Kafka', 'kafka').spec as { kafka: { listeners: Listener[] } };
    const [listener] = kafka.listeners as [Listener];
    const hosts = listener.configuration.brokers.map(({ advertisedHost }) => advertisedHost);
    const settings = environmentOf('team');
    expect(hosts.map((host) => `${host}:${listener.port}`).join(',')).toBe(settings.KAFKA_BROKERS);
    expect([String(listener.tls), listener.authentication.type]).toEqual([settings.KAFKA_TLS, settings.KAFKA_SASL_MECHANISM]);
    expect(certificateOf(listener.configuration.brokerCertChainAndKey.secretName)).toEqual(hosts);
    // the only form of key that Strimzi takes
    expect(engines.get('Certificate', 'kafka').spec).toMatchObject({ privateKey: { encoding: 'PKCS8' } });
    expect(engines.get('Namespace', 'biz-engines').metadata.labels).toMatchObject({ 'biz-retail/engines': 'true' });
    const brokers = engines.get('KafkaNodePool', 'brokers');
    expect(brokers.spec).toMatchObject({ replicas: hosts.length, roles: ['broker'] });
    expect(listener.configuration.brokers.map(({ broker }) => broker)).toEqual([0, 1, 2]);
    expect(brokers.metadata.annotations).toEqual({ 'strimzi.io/next-node-ids': '[0-2]' });
  });

  test('each process is a user of Kafka with the rights that it uses, and no other', () => {
    const users = engines.of('KafkaUser').map(({ metadata: { name }, spec }) => [name, rightsOf(spec as unknown as KafkaUser)]);
    expect(Object.fromEntries(users)).toEqual({
      ...Object.fromEntries(names.map((name) => [environmentOf(name).KAFKA_SASL_USERNAME, neededOf(name)])),
      [scaler]: { [`group ${environmentOf('audit').CONSUMER_GROUP}`]: ['Describe'], [`topic ${auditTopic.name}`]: ['Describe'] },
    });
  });

  test('each process is a user of MongoDB who writes its own database and the keys of personal data', () => {
    const { users } = engines.get('PerconaServerMongoDB', 'mongodb').spec as { users: MongoUser[] };
    expect(users.map(({ name, db, roles }) => ({ name, db, roles }))).toEqual(
      services.map((service) => {
        const { MONGODB_DATABASE, KEYRING_DATABASE } = environmentOf(service.name);
        expect(MONGODB_DATABASE).toBe(databaseOf(service));
        const roles = [MONGODB_DATABASE, KEYRING_DATABASE].map((database) => ({ name: 'readWrite', db: database }));
        return { name: service.name, db: 'admin', roles };
      }),
    );
  });

  test('a password is the same entry of the secret manager for the engine and for the process', () => {
    for (const name of [...names, scaler]) {
      const { authentication } = engines.get('KafkaUser', name).spec as unknown as KafkaUser;
      const { name: secret, key } = authentication.password.valueFrom.secretKeyRef;
      const given = name === scaler ? remoteKey(fleet, scaler, 'password') : remoteKey(fleet, `${name}-keys`, 'kafka-password');
      expect([name, remoteKey(engines, secret, key)]).toEqual([name, given]);
    }
    const { users } = engines.get('PerconaServerMongoDB', 'mongodb').spec as { users: MongoUser[] };
    for (const { name, passwordSecretRef } of users) {
      const entry = remoteKey(engines, passwordSecretRef.name, passwordSecretRef.key);
      expect(entry).toBe(remoteKey(fleet, `${name}-keys`, 'mongodb-url')?.replace(/url$/, 'password'));
    }
  });

  test('every service is given the authority that MongoDB has its certificates from', () => {
    const { tls } = engines.get('PerconaServerMongoDB', 'mongodb').spec as { tls: { mode: string; issuerConf: { name: string } } };
    expect(tls.mode).toBe('requireTLS');
    const { ca } = engines.get('Issuer', tls.issuerConf.name).spec as { ca: { secretName: string } };
    const authority = remoteKey(engines, ca.secretName, 'tls.crt');
    expect(authority).toBeDefined();
    for (const name of names) expect([name, remoteKey(fleet, `${name}-keys`, 'mongodb-ca')]).toEqual([name, authority]);
    const readme = readFileSync(join(repository, 'infra/kubernetes/operators/README.md'), 'utf8');
    expect(readme).toContain(`tlsCAFile=/home/node/keys/mongodb-ca`);
  });

  test('every secret that an engine names is made by something', () => {
    const named = [...text.matchAll(/(?:secretName|tlsSecret|secret): (\S+)/g)].map(([, name = '']) => name);
    expect(named.length).toBeGreaterThan(5);
    for (const name of named) expect([name, engines.secretKeys(name)]).toEqual([name, expect.any(Array)]);
    const { db } = engines.get('Keycloak', 'keycloak').spec as { db: Record<string, { name: string; key: string }> };
    for (const one of [db.usernameSecret, db.passwordSecret]) expect(engines.secretKeys(one?.name ?? '')).toContain(one?.key);
  });

  test('Elasticsearch and Keycloak are found by the names that the fleet has, in the versions that it is tested with', () => {
    const elasticsearch = engines.get('Elasticsearch', 'elasticsearch').spec as { version: string };
    expect(`https://${certificateOf('elasticsearch-tls')}:9200`).toBe(environmentOf('audit').ELASTICSEARCH_URL);
    const keycloak = engines.get('Keycloak', 'keycloak').spec as { hostname: { hostname: string }; image: string };
    expect(keycloak.hostname.hostname).toBe(environmentOf('identity').KEYCLOAK_URL);
    expect(`https://${certificateOf('keycloak-tls')}:8443`).toBe(keycloak.hostname.hostname);
    const { kafka } = engines.get('Kafka', 'kafka').spec as { kafka: { version: string } };
    const compose = readFileSync(join(repository, 'docker-compose.yml'), 'utf8');
    const kibana = engines.get('Kibana', 'kibana').spec as { version: string };
    const images = [`apache/kafka:${kafka.version}`, keycloak.image, `elasticsearch:${elasticsearch.version}`, `kibana:${kibana.version}`];
    for (const image of images) expect(compose).toContain(`:-${image}}`);
  });

  test('who gets into Elasticsearch may use the indexes that the code uses', () => {
    const own = (file: string) => readFileSync(join(folder.operators, 'elasticsearch', file), 'utf8');
    const roles = parse(own('roles.yml')) as Record<string, Role>;
    const telemetry = JSON.parse(own('telemetry-key.json')) as { role_descriptors: Record<string, Role> };
    const audit = JSON.parse(own('audit-key.json')) as { role_descriptors: Record<string, Role> };
    const code = (file: string) => readFileSync(join(repository, file), 'utf8');
    const [securityIndex] = roles['security-events']?.indices[0]?.names ?? [];
    expect(code('services/security/src/storage/config.ts')).toContain(`ELASTICSEARCH_INDEX: z.string().min(1).default('${securityIndex}')`);
    const { exporters } = parse(code('infra/otel/collector.yaml')) as { exporters: { elasticsearch: Record<string, string> } };
    const written = ['traces', 'logs', 'metrics'].map((signal) => exporters.elasticsearch[`${signal}_index`]?.replace(/\$\{.*\}$/, '*'));
    expect(telemetry.role_descriptors.telemetry?.indices[0]?.names).toEqual(written);
    const [traces] = audit.role_descriptors.traces?.indices[0]?.names ?? [];
    expect(code('services/audit/src/config.ts')).toContain(`TRACES_INDEX: z.string().min(1).default('${traces}')`);
    const { target } = engines.get('ExternalSecret', 'elasticsearch-security').spec as {
      target: { template: { data: { roles: string } } };
    };
    expect(Object.keys(roles)).toEqual([target.template.data.roles]);
  });
});

/** What a process of the production overlay is given. */
function environmentOf(name: string): Record<string, string> {
  const [container] = fleet.workloads().find((one) => one.name === name)?.template.spec.containers ?? [];
  if (!container) throw new Error(`nothing runs ${name}`);
  return fleet.environment(container);
}

/** Every service writes its events; who has a group reads them in it; who is told of a topic for dead letters writes there. */
function neededOf(name: string): Record<string, string[]> {
  const { AUDIT_TOPIC = '', DLQ_TOPIC, CONSUMER_GROUP } = environmentOf(name);
  return {
    ...(CONSUMER_GROUP && { [`group ${CONSUMER_GROUP}`]: ['Describe', 'Read'] }),
    [`topic ${AUDIT_TOPIC}`]: ['Describe', ...(CONSUMER_GROUP ? ['Read'] : []), 'Write'],
    ...(DLQ_TOPIC && { [`topic ${DLQ_TOPIC}`]: ['Describe', 'Write'] }),
  };
}

function rightsOf({ authorization: { acls } }: KafkaUser): Record<string, string[]> {
  expect(acls.map(({ resource }) => resource.patternType)).toEqual(acls.map(() => 'literal'));
  return Object.fromEntries(acls.map(({ resource: { type, name }, operations }) => [`${type} ${name}`, operations.toSorted()]));
}

function certificateOf(secret: string): unknown {
  const names = engines.of('Certificate').find(({ spec }) => spec?.secretName === secret)?.spec?.dnsNames as string[] | undefined;
  return names?.length === 1 ? names[0] : names;
}

/** The entry of the secret manager that a secret's key comes from. */
function remoteKey(manifests: Manifests, secret: string, key: string): string | undefined {
  const data = manifests.get('ExternalSecret', secret).spec?.data as { secretKey: string; remoteRef: { key: string } }[];
  return data.find(({ secretKey }) => secretKey === key)?.remoteRef.key;
}

interface Listener {
  port: number;
  tls: boolean;
  authentication: { type: string };
  configuration: { brokerCertChainAndKey: { secretName: string }; brokers: { broker: number; advertisedHost: string }[] };
}

interface KafkaUser {
  authentication: { password: { valueFrom: { secretKeyRef: { name: string; key: string } } } };
  authorization: { acls: { resource: { type: string; name: string; patternType: string }; operations: string[] }[] };
}

interface MongoUser {
  name: string;
  db: string;
  passwordSecretRef: { name: string; key: string };
  roles: { name: string; db: string }[];
}

interface Role {
  indices: { names: string[]; privileges: string[] }[];
}
