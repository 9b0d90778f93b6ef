import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository, services } from '@biz/local';
import { keyFolders, shapes } from '@biz/setup';
import { Ajv } from 'ajv';
import formats from 'ajv-formats';
import { describe, expect, test } from 'vitest';
import { type ComposeService, mountsOf, readCompose, variablesOf } from './compose.ts';

const compose = readCompose();
const all = Object.entries(compose.services);
const engines = ['kafka', 'mongodb', 'keycloak', 'mail', 'elasticsearch', 'kibana', 'collector'];
const own = all.filter(([name]) => !engines.includes(name));
const processes = [...services.map(({ name }) => name), 'gateway'];
const setups = all.filter(([name]) => name.startsWith('setup-')).map(([name]) => name);
const namesOf = (choose: (service: ComposeService) => unknown) =>
  all
    .filter(([, service]) => choose(service))
    .map(([name]) => name)
    .sort();

test('the file is what the Compose Specification asks for', () => {
  const schema = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'compose-spec.json'), 'utf8'));
  // draft 7 by another spelling of its address
  const ajv = new Ajv({ strict: false, allErrors: true });
  formats.default(ajv);
  const valid = ajv.compile({ ...schema, $schema: 'http://json-schema.org/draft-07/schema#' });
  expect(valid(compose) ? [] : valid.errors).toEqual([]);
  expect(valid({ services: { team: { image: 'a', helthcheck: {} } } })).toBe(false);
});

test('its containers are the engines, the set-up, every process of the fleet and what cleans up, and no others', () => {
  expect(own.map(([name]) => name).sort()).toEqual([...processes, ...setups, 'retention'].sort());
});

test('every variable is told of in .env.example with what holds without it, and no other', () => {
  const text = readFileSync(join(repository, '.env.example'), 'utf8');
  const told = Object.fromEntries([...text.matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]));
  expect(Object.keys(told).sort()).toEqual(variablesOf());
  expect(readCompose(told)).toEqual(compose);
});

describe('images', () => {
  test('are pinned by version, come from no named registry, and each can be given another way, with a digest', () => {
    const pinned = Object.fromEntries(engines.map((name) => [`${name.toUpperCase()}_IMAGE`, `x/y:1.0@sha256:${'0'.repeat(64)}`]));
    const digests = readCompose(pinned).services;
    for (const [name, { image, build }] of all) {
      expect(image, name).toMatch(/^[a-z][a-z0-9-]*(\/[a-z0-9-]+)?:\d+\.\d+[a-z0-9.-]*$/);
      if (engines.includes(name)) expect(digests[name]?.image, name).toContain('@sha256:');
      if (build) expect(build.args.NODE_IMAGE, name).toMatch(/^node:\d+\.\d+\.\d+-slim$/);
    }
    expect(JSON.stringify(compose)).not.toContain('latest');
  });

  test("are of the versions that npm start runs, and of the project's own Node", async () => {
    const versions = await enginesHere();
    for (const name of ['kafka', 'keycloak', 'mail', 'elasticsearch']) {
      expect(compose.services[name]?.image, name).toMatch(new RegExp(`:${versions[name]}$`));
    }
    expect(compose.services.kibana?.image).toBe(`kibana:${versions.elasticsearch}`);
    const { devDependencies } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));
    expect(compose.services.team?.build?.args.NODE_IMAGE).toBe(`node:${devDependencies.node}-slim`);
  });

  test('of ours are built from the one Dockerfile, each once, and never fetched', () => {
    const built = own.filter(([, { build }]) => build);
    expect(built.map(([, { image }]) => image).sort()).toEqual([...new Set(own.map(([, { image }]) => image))].sort());
    for (const [name, { build }] of built) {
      expect(existsSync(join(repository, build?.dockerfile ?? '')), name).toBe(true);
      const workspace = join(repository, build?.args.WORKSPACE ?? '');
      expect(JSON.parse(readFileSync(join(workspace, 'package.json'), 'utf8')).name).toBe(`@biz/${name === 'setup-keys' ? 'setup' : name}`);
      expect(existsSync(join(workspace, 'src', 'main.ts')), name).toBe(true);
      if (processes.includes(name)) expect(existsSync(join(workspace, 'src', 'healthy.ts')), name).toBe(true);
    }
    expect(own.filter(([, { pull_policy }]) => pull_policy !== 'never')).toEqual([]);
  });
});

describe('containers', () => {
  test('have no rights that they do not need', () => {
    for (const [name, service] of all) {
      expect(service.cap_drop, name).toEqual(['ALL']);
      expect(service.cap_add, name).toBeUndefined();
      expect(service.security_opt, name).toContain('no-new-privileges:true');
      expect(service.privileged, name).toBeUndefined();
      expect(service.user ?? 'as in the image', name).not.toMatch(/^(0|root)/);
      expect(Object.keys(service.deploy?.resources?.limits ?? {}).sort(), name).toEqual(['cpus', 'memory', 'pids']);
    }
    for (const [name, service] of own) {
      expect(service.read_only, name).toBe(true);
      expect(service.tmpfs, name).toHaveLength(1);
      expect(service.user, name).toBeUndefined(); // the Dockerfile's
    }
  });

  test('can be reached from this machine only, and only those for people; nothing else has a way out but webhooks', () => {
    const published = all.flatMap(([, { ports = [] }]) => ports);
    expect(published.every((port) => port.startsWith('127.0.0.1:'))).toBe(true);
    expect(namesOf(({ ports }) => ports)).toEqual(['gateway', 'keycloak', 'kibana', 'mail']);
    expect(namesOf(({ networks }) => networks?.includes('outside'))).toEqual(['gateway', 'keycloak', 'kibana', 'mail', 'notification']);
    expect(compose.networks.fleet).toEqual({ internal: true });
    expect(new Set(all.flatMap(([, { networks = [] }]) => networks))).toEqual(new Set(Object.keys(compose.networks)));
  });

  test('wait for what there is: what ends when it is to end, what is healthy when it can be asked, and never in a circle', () => {
    const checked = (name: string) => {
      const { build, healthcheck } = compose.services[name] ?? {};
      return healthcheck?.disable !== true && (build !== undefined || healthcheck !== undefined);
    };
    for (const [name, { depends_on = {} }] of all) {
      for (const [other, { condition }] of Object.entries(depends_on)) {
        expect(compose.services[other], `${name} → ${other}`).toBeDefined();
        expect(condition, `${name} → ${other}`).toBe(
          setups.includes(other) ? 'service_completed_successfully' : checked(other) ? 'service_healthy' : 'none',
        );
      }
    }
    const before = (name: string, seen: string[]): void => {
      expect(seen, seen.join(' → ')).not.toContain(name);
      for (const other of Object.keys(compose.services[name]?.depends_on ?? {})) before(other, [...seen, name]);
    };
    for (const [name] of all) before(name, []);
    for (const name of setups) expect(compose.services[name]?.restart, name).toBe('on-failure:5');
  });

  test('do not keep the fleet from starting when it is only what people look at it with that fails', () => {
    const looking = ['elasticsearch', 'kibana', 'collector', 'retention', 'setup-templates', 'setup-kibana'];
    for (const [name, { depends_on = {} }] of all) {
      const awaited = Object.entries(depends_on).filter(([other]) => looking.includes(other));
      if (!looking.includes(name)) expect(awaited, name).toEqual([]);
      for (const [other, { required }] of awaited) expect(required, `${name} → ${other}`).toBe(false);
    }
  });
});

describe('volumes', () => {
  test('are all declared and used, and files of the project are there', () => {
    const sources = all.flatMap(([, service]) => mountsOf(service).map(({ source }) => source));
    const [files, named] = [sources.filter((source) => source.startsWith('.')), sources.filter((source) => !source.startsWith('.'))];
    expect([...new Set(named)].sort()).toEqual(Object.keys(compose.volumes).sort());
    for (const file of files) expect(existsSync(join(repository, file)), file).toBe(true);
  });

  test('with keys are made once for every process and given to that process alone, to be read', () => {
    const made = mountsOf(compose.services['setup-keys'] as ComposeService);
    expect(made.map(({ path }) => path).sort()).toEqual(keyFolders.map((name) => `/home/node/made/${name}`).sort());
    const mounts = compose.services['setup-keys']?.build?.args.MOUNTS?.split(' ').map((path) => `/home/node/${path}`);
    expect(mounts?.sort()).toEqual(made.map(({ path }) => path).sort());
    for (const name of [...processes, 'setup-seed', 'keycloak']) {
      const folder = { 'setup-seed': 'bootstrap' }[name] ?? name;
      const { source } = made.find(({ path }) => path === `/home/node/made/${folder}`) ?? {};
      const given = mountsOf(compose.services[name] as ComposeService).filter((mount) => mount.source === source);
      expect(given, name).toEqual([
        { source, path: name === 'keycloak' ? '/opt/keycloak/data/import' : '/home/node/keys', readOnly: true },
      ]);
      const others = all.filter(([other, service]) => other !== name && mountsOf(service).some((mount) => mount.source === source));
      expect(
        others.map(([other]) => other),
        name,
      ).toEqual(['setup-keys']);
    }
  });

  test('of ours are mounted on folders that the image has', () => {
    for (const [name, service] of own) {
      if (name === 'setup-keys') continue;
      for (const { path } of mountsOf(service)) expect(['/home/node/keys', '/home/node/data'], name).toContain(path);
    }
  });
});

test('the set-up commands are those that there are, each with exactly the settings that it reads', () => {
  const commands = own.filter(
    ([, { command = [] }]) => command.includes('dist/main.js') && command.length === 3 && !command.includes('--once'),
  );
  expect(commands.map(([, { command = [] }]) => command[2]).sort()).toEqual(Object.keys(shapes).sort());
  for (const [name, { command = [], environment = {} }] of commands) {
    expect(Object.keys(environment).sort(), name).toEqual(Object.keys(shapes[command[2] as keyof typeof shapes]).sort());
  }
});

/** Names and versions of the engines that npm start runs. */
async function enginesHere(): Promise<Record<string, string>> {
  const module = (await import(join(repository, 'infra', 'local', 'src', 'engines', 'index.ts'))) as Record<string, { version: string }>;
  return Object.fromEntries(Object.entries(module).map(([name, { version }]) => [name, version]));
}
