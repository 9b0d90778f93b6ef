// Makes the images' contents as the Dockerfile says and runs the fleet from them as docker-compose.yml says, without Docker, against engines that
// run already (MONGODB_URL, KAFKA_BROKERS, KEYCLOAK_URL, SMTP_URL, ELASTICSEARCH_URL). Prints sizes and times; exit code 1 when anything fails.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { freePort, gatewayName, repository, services } from '@biz/local';
import { type Built, createBuilder } from './build.ts';
import { type ComposeService, readCompose } from './compose.ts';
import { type Container, runContainer } from './containers.ts';

const { values } = parseArgs({
  options: {
    context: { type: 'string', default: repository },
    keep: { type: 'boolean', default: false },
    folder: { type: 'string' },
    build: { type: 'boolean', default: false },
  },
});
const folder = values.folder ?? (await mkdtemp(join(tmpdir(), 'biz-images-')));
const running: Container[] = [];

try {
  const compose = readCompose();
  const images = await buildImages(compose.services);
  if (!values.build) await runFleet(compose.services, images);
} finally {
  for (const { child } of running) child.kill('SIGTERM');
  await Promise.all(running.map(({ ended }) => ended));
  if (values.keep || values.folder) console.log(`Left as it is: ${folder}`);
  else await rm(folder, { recursive: true, force: true });
}

/** Every image, by its name. */
async function buildImages(all: Record<string, ComposeService>): Promise<Map<string, Built>> {
  const build = createBuilder({ folder: join(folder, 'stages'), context: values.context, say: (line) => console.log(`  ${line}`) });
  const images = new Map<string, Built>();
  const wanted = Object.values(all).flatMap(({ image, build: { args } = {} }) => (args ? [{ image, args }] : []));
  const make = async ({ image, args }: { image: string; args: Record<string, string> }) => {
    const started = performance.now();
    const built = await build(args);
    images.set(image, built);
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    const [total, packages] = await Promise.all([sizeOf(join(built.root, 'app')), sizeOf(join(built.root, 'app', 'node_modules'))]);
    console.log(`${image}: made in ${seconds} s, ${total} MB, of which packages ${packages} MB`);
  };
  const [first, ...others] = wanted;
  if (first) await make(first);
  await Promise.all(others.map(make)); // what all share is there
  return images;
}

async function sizeOf(path: string): Promise<string> {
  const { stdout } = await promisify(execFile)('du', ['-sk', '--apparent-size', path]);
  return (Number.parseInt(stdout, 10) / 1024).toFixed(1);
}

async function runFleet(all: Record<string, ComposeService>, images: Map<string, Built>): Promise<void> {
  const run = process.pid;
  const names = [...services.map(({ name }) => name), gatewayName];
  const ports: Record<string, number> = {};
  for (const name of names) ports[name] = await freePort();
  const volumes = join(folder, 'volumes');
  const start = async (name: string, translate: (value: string) => string): Promise<Container> => {
    const service = all[name];
    const built = service && images.get(service.image);
    if (!service || !built) throw new Error(`${name} has no image`);
    const environment = { ...service.environment };
    if (environment.MONGODB_DATABASE) environment.MONGODB_DATABASE += `_${run}`;
    if (environment.KEYRING_DATABASE) environment.KEYRING_DATABASE += `_${run}`;
    if (environment.GRPC_LISTEN) environment.GRPC_LISTEN = `127.0.0.1:${ports[name]}`;
    if (environment.GATEWAY_PORT) environment.GATEWAY_PORT = String(ports[name]);
    const container = await runContainer({ name, service: { ...service, environment }, built, volumes, translate });
    return container;
  };
  const finish = async (name: string): Promise<void> => {
    const { ended, said } = await start(name, translation(ports));
    const code = await ended;
    console.log(`${name}: ${said.join('').trim().slice(-500)}`);
    if (code !== 0) throw new Error(`${name} ended with ${code}`);
  };
  await mkdir(volumes, { recursive: true });
  await finish('setup-keys');
  await theirSecret(volumes);
  await finish('setup-topics');
  await finish('setup-templates');
  for (const name of names) {
    const container = await start(name, translation(ports));
    running.push(container);
    console.log(`${name}: healthy after ${await container.healthy()} ms`);
  }
  await finish('setup-seed');
  for (const { name, child, ended, said } of running.splice(0).reverse()) {
    const stopping = performance.now();
    child.kill('SIGTERM');
    const code = await ended;
    console.log(`${name}: ended with ${code} after ${Math.round(performance.now() - stopping)} ms`);
    if (code !== 0) throw new Error(`${name} ended with ${code}:\n${said.join('').slice(-2_000)}`);
  }
}

/** The Keycloak that runs already has its own secret for the client of the identity service. */
async function theirSecret(volumes: string): Promise<void> {
  const { KEYCLOAK_CLIENT_SECRET } = process.env;
  if (KEYCLOAK_CLIENT_SECRET) await writeFile(join(volumes, 'identity-keys', 'identity-client'), KEYCLOAK_CLIENT_SECRET);
}

/** From names in the Compose file's network to addresses of this machine. */
function translation(ports: Record<string, number>): (value: string) => string {
  const { env } = process;
  const addresses: [string, string | undefined][] = [
    ['mongodb://mongodb:27017/?replicaSet=rs0', env.MONGODB_URL],
    ['kafka:9092', env.KAFKA_BROKERS],
    ['http://keycloak:8080', env.KEYCLOAK_URL],
    ['http://localhost:8180', env.KEYCLOAK_URL],
    ['smtp://mail:1025', env.SMTP_URL],
    ['http://elasticsearch:9200', env.ELASTICSEARCH_URL],
    ['http://collector:4318', env.OTEL_EXPORTER_OTLP_ENDPOINT ?? ''],
    ...services.map(({ name }): [string, string] => [`=${name}:50051`, `=127.0.0.1:${ports[name]}`]),
    ['identity:50051', `127.0.0.1:${ports.identity}`],
  ];
  return (value) =>
    addresses.reduce((text, [from, to]) => {
      if (to === undefined && text.includes(from)) throw new Error(`${from} has no address here: an engine's variable is missing`);
      return text.replaceAll(from, to ?? '');
    }, value);
}
