import { tlsFolder } from '@biz/pki';
import { bringUp, dataFolder, type Located, locate } from './bring-up.ts';
import { cacheFolder } from './cache.ts';
import { kafka, keycloak, mail, mongodb } from './engines/index.ts';
import { kafkaOf } from './engines/kafka.ts';
import { keycloakAdmin } from './engines/keycloak.ts';
import { mailPages } from './engines/mail.ts';
import { ensureFlags } from './flags.ts';
import { addressOf, databaseOf, type Fleet, gatewayName, gatewaySpec, gatewayUrl, instancesOf, serviceSpec, services } from './fleet.ts';
import { ensureRealm, followAddresses } from './keycloak-realm.ts';
import { checkpointFile, type Layout, verificationKeyFile } from './layout.ts';
import { seeder } from './people.ts';
import { freePort } from './ports.ts';
import type { Step } from './progress.ts';
import { makeSigningKey, realmOf } from './realm.ts';
import { localUsers, type RunFile, withoutPassword } from './run-file.ts';
import { keepPublicKey, keptSecret } from './secrets.ts';
import { seedIdentity } from './seed.ts';
import type { Supervisor } from './supervisor.ts';
import { locateTelemetry, type Telemetry } from './telemetry.ts';
import { ensureTopics } from './topics.ts';

const REALM = 'biz';

/** Chooses where everything will be, and gives the steps that start it. */
export async function planFleet(options: PlanOptions): Promise<Plan> {
  const [engines, telemetry] = await Promise.all([locateEngines(options.brokers), locateTelemetry()]);
  const fleet = await prepare(options, engines, telemetry);
  const { supervisor } = options;
  const steps = [...engineSteps(options, engines, fleet), ...ownSteps(supervisor, fleet)];
  return { steps, telemetry, runFile: () => runFileOf(fleet, engines, telemetry, supervisor) };
}

function engineSteps({ supervisor, layout }: PlanOptions, engines: Engines, fleet: Fleet): Step[] {
  const afterwards: Partial<Record<string, () => Promise<void>>> = {
    [kafka.name]: () => ensureTopics(fleet.kafkaBrokers),
    [keycloak.name]: () => makeRealm(layout, fleet, engines.keycloak),
  };
  return Object.values(engines).map((located: Located) => {
    const { name, version, variable } = located.engine;
    return {
      name,
      title: located.external ? `${name} at ${variable}` : `${name} ${version}`,
      async run(progress) {
        await bringUp(located, { cache: cacheFolder(), folder: layout.folder, supervisor, progress });
        await afterwards[name]?.();
      },
    };
  });
}

/** Services need no Keycloak and no mail to start: what they have to tell them waits. */
function ownSteps(supervisor: Supervisor, fleet: Fleet): Step[] {
  return [
    {
      name: 'services',
      title: `services ${services.map(({ name }) => name).join(', ')}`,
      needs: [mongodb.name, kafka.name],
      async run(progress) {
        progress('starting');
        const specs = services.flatMap((service) =>
          instancesOf(service.name, fleet.instances).map((name) => serviceSpec(fleet, service, name)),
        );
        await Promise.all(specs.map((spec) => supervisor.start(spec)));
      },
    },
    {
      name: gatewayName,
      title: gatewayName,
      needs: [mongodb.name, kafka.name],
      async run(progress) {
        progress('starting');
        await supervisor.start(gatewaySpec(fleet));
      },
    },
    {
      name: 'seed',
      title: 'companies, profiles and users',
      needs: ['services'],
      run: () => seedIdentity({ address: addressOf(fleet, 'identity'), tls: fleet.tls.tls(seeder) }),
    },
  ];
}

/** The run file as things are now. */
function runFileOf(fleet: Fleet, engines: Engines, telemetry: Telemetry, supervisor: Supervisor): RunFile {
  const entries = services.map((service) => {
    const instances = instancesOf(service.name, fleet.instances).map((process) => ({
      process,
      grpc: addressOf(fleet, process),
      pid: supervisor.processes.get(process)?.readyPid ?? null,
    }));
    const pid = instances[0]?.pid ?? null;
    return [service.name, { grpc: addressOf(fleet, service.name), pid, database: databaseOf(service), instances }] as const;
  });
  const { elasticsearchUrl: elasticsearch } = telemetry.running();
  return {
    gateway: gatewayUrl(fleet),
    ca_file: fleet.tls.caFile,
    kafka_brokers: fleet.kafkaBrokers,
    mongodb_url: withoutPassword(fleet.mongodbUrl),
    keycloak_url: fleet.keycloak.url,
    realm: REALM,
    client_id: 'biz-cli',
    elasticsearch_url: elasticsearch === null ? null : withoutPassword(elasticsearch),
    otlp_endpoint: telemetry.running().otlpEndpoint,
    smtp_url: withoutPassword(fleet.smtpUrl),
    mail_url: engines.mail.external ? null : mailPages(engines.mail.ports),
    checkpoint_file: fleet.checkpoints.file,
    services: Object.fromEntries(entries),
    users: localUsers(),
  };
}

async function locateEngines(brokers: number): Promise<Engines> {
  const engines = [keycloak, kafkaOf(brokers), mongodb, mail];
  const [keycloakAt, kafkaAt, mongodbAt, mailAt] = await Promise.all(engines.map((engine) => locate(engine)));
  return { keycloak: keycloakAt, kafka: kafkaAt, mongodb: mongodbAt, mail: mailAt } as Engines;
}

async function prepare({ layout, gatewayPort, instances }: PlanOptions, engines: Engines, telemetry: Telemetry): Promise<Fleet> {
  const names = services.map(({ name }) => name);
  const ports: Record<string, number> = { [gatewayName]: gatewayPort };
  for (const name of names.flatMap((service) => instancesOf(service, instances))) ports[name] = await freePort();
  const [tls, kek, checkpointKey, sessionKey, webhookKey, identity, login] = await Promise.all([
    tlsFolder(layout.tls, [...names, gatewayName, seeder]),
    keptSecret(layout.keys, 'kek', 'base64'),
    keptSecret(layout.keys, 'checkpoint-key', 'base64'),
    keptSecret(layout.keys, 'session-key', 'base64'),
    keptSecret(layout.keys, 'webhook-key', 'base64'),
    clientSecretFile(layout, 'identity-client', 'KEYCLOAK_CLIENT_SECRET_FILE'),
    clientSecretFile(layout, 'gateway-client', 'OIDC_CLIENT_SECRET_FILE'),
  ]);
  const checkpoints = { keyFile: process.env.CHECKPOINT_KEY_FILE || checkpointKey.file, file: checkpointFile(layout) };
  await keepPublicKey(checkpoints.keyFile, verificationKeyFile(layout));
  return {
    ports,
    instances,
    tls,
    kekFile: process.env.KEK_FILE || kek.file,
    checkpoints,
    mongodbUrl: engines.mongodb.address,
    kafkaBrokers: engines.kafka.address,
    smtpUrl: engines.mail.address,
    otlpEndpoint: telemetry.otlpEndpoint,
    traces: tracesSettings(telemetry),
    keycloak: { url: engines.keycloak.address, realm: REALM, identitySecretFile: identity, gatewaySecretFile: login },
    sessionKeyFile: process.env.SESSION_KEY_FILE || sessionKey.file,
    webhookKeyFile: process.env.WEBHOOK_KEY_FILE || webhookKey.file,
    flags: await flagSettings(layout),
    security: securitySettings(layout),
    logLevel: process.env.LOG_LEVEL || 'info',
    telemetry: given(/^OTEL_/),
    reconcile: given(/^RECONCILE_/),
  };
}

/** Security events go to MongoDB and to files; further storages when the environment says where they are. */
function securitySettings(layout: Layout): Record<string, string> {
  const settings = given(/^(SECURITY|ELASTICSEARCH|POSTGRESQL|CLOUDWATCH)_/);
  const further = Object.entries({ elasticsearch: 'ELASTICSEARCH_URL', postgresql: 'POSTGRESQL_URL', cloudwatch: 'CLOUDWATCH_REGION' });
  const storages = ['mongodb', 'file', ...further.flatMap(([name, variable]) => (settings[variable] ? [name] : []))];
  return { SECURITY_STORAGES: storages.join(','), SECURITY_FILE_FOLDER: layout.security, ...settings };
}

/** Flags come from a file of this clone, made when there is none, unless the environment names another file or flagd. */
async function flagSettings(layout: Layout): Promise<Record<string, string>> {
  const settings = given(/^FLAG[SD]_/);
  if (settings.FLAGS_FILE || settings.FLAGD_ADDRESS) return settings;
  await ensureFlags(layout.flags);
  return { FLAGS_FILE: layout.flags, ...settings };
}

/** An Elasticsearch of our own takes nothing but its address. */
function tracesSettings({ elasticsearchUrl }: Telemetry): Record<string, string> {
  return elasticsearchUrl ? { ...given(/^(ELASTICSEARCH|TRACES?)_/), ELASTICSEARCH_URL: elasticsearchUrl } : {};
}

/** Variables of these names that the start was given. */
function given(names: RegExp): Record<string, string> {
  return Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (names.test(name) && value ? [[name, value]] : [])));
}

/** A Keycloak of somebody else may have the client already, with a secret of its own. */
async function clientSecretFile(layout: Layout, name: string, variable: string): Promise<string> {
  return process.env[variable] || (await keptSecret(layout.keys, name)).file;
}

async function makeRealm(layout: Layout, fleet: Fleet, located: Located): Promise<void> {
  const secret = async (name: string) => (await keptSecret(layout.keys, name)).text;
  const { KEYCLOAK_ADMIN: username, KEYCLOAK_ADMIN_PASSWORD: password } = process.env;
  const given = username && password ? { username, password } : undefined;
  const admin = located.external ? given : await keycloakAdmin(dataFolder(layout.folder, located.engine));
  const representation = realmOf({
    realm: REALM,
    gatewayUrl: gatewayUrl(fleet),
    gatewaySecret: await secret('gateway-client'),
    identitySecret: await secret('identity-client'),
    signingKey: await makeSigningKey(),
  });
  const realm = { url: fleet.keycloak.url, realm: REALM, admin, representation };
  const made = await ensureRealm(realm);
  // the gateway may have another port than the last time; a Keycloak of somebody else is left as it is
  if (!made && !located.external && admin !== undefined) await followAddresses({ ...realm, admin });
}

export interface Plan {
  steps: Step[];
  telemetry: Telemetry;
  runFile: () => RunFile;
}

interface PlanOptions {
  layout: Layout;
  supervisor: Supervisor;
  gatewayPort: number;
  /** Brokers of a Kafka that is started here. */
  brokers: number;
  /** Processes of each service. */
  instances: number;
}

interface Engines {
  keycloak: Located;
  kafka: Located;
  mongodb: Located;
  mail: Located;
}
