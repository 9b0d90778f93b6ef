import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { plainProgress, repository } from '@biz/local';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type Container, Manifests, manifestFolder, manifestsOf, type PodTemplate } from './manifests.ts';
import { kustomizer } from './tools.ts';

const render = await kustomizer(plainProgress('kustomize'));
const folder = await manifestFolder();
/** Label of a namespace that has engines. */
const engines = { 'biz-retail/engines': 'true' };
let local = new Manifests([]);
afterAll(() => folder[Symbol.dispose]());

describe.skipIf(render === undefined)('the engines of the local overlay', () => {
  beforeAll(async () => {
    local = new Manifests(manifestsOf((await render?.(folder.of('local'))) ?? ''));
  }, 600_000);

  test('are reached also where a pod is no part of a network to the plugin', () => {
    expect(local.get('Namespace', 'biz-retail').metadata.labels).toMatchObject(engines);
    for (const engine of ['mongodb', 'kafka', 'elasticsearch', 'keycloak']) {
      expect([engine, local.get('NetworkPolicy', `reach-${engine}`).spec]).toEqual([
        engine,
        expect.objectContaining({
          egress: [expect.objectContaining({ to: expect.arrayContaining([{ namespaceSelector: { matchLabels: engines } }]) })],
        }),
      ]);
    }
  });

  test('Kafka is known by a name that is one in every namespace, and lets the autoscaler in', () => {
    const address = local.environment(containerOf('Deployment', 'team')).KAFKA_BROKERS;
    expect(address).toMatch(/^kafka\.biz-retail\.svc:\d+$/);
    expect(local.environment(containerOf('StatefulSet', 'kafka'))).toMatchObject({ KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://${address}` });
    const keda = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'keda' } } };
    expect(local.get('NetworkPolicy', 'kafka').spec).toMatchObject({ ingress: [{ from: expect.arrayContaining([keda]) }] });
  });

  test('MongoDB finds itself by the name that it is a member under, whatever the name service still says', () => {
    const [, host] = /host: '([^:']+):27017'/.exec(JSON.stringify(containerOf('StatefulSet', 'mongodb'))) ?? [];
    expect(local.get('StatefulSet', 'mongodb').spec).toMatchObject({
      template: { spec: { hostAliases: [{ ip: '127.0.0.1', hostnames: [host] }] } },
    });
  });

  test('are those of docker-compose.yml, with its settings but for what a cluster has otherwise', () => {
    const compose = readFileSync(join(repository, 'docker-compose.yml'), 'utf8');
    const { services: containers } = parse(compose, { merge: true }) as {
      services: Record<string, { image: string; environment?: Record<string, string> }>;
    };
    const otherwise = ['KAFKA_CONTROLLER_QUORUM_VOTERS', 'KAFKA_ADVERTISED_LISTENERS', 'KAFKA_LOG_DIRS', 'KC_HOSTNAME'];
    for (const name of ['kafka', 'mongodb', 'elasticsearch', 'keycloak']) {
      const same = Object.entries(containers[name]?.environment ?? {}).filter(([variable]) => !otherwise.includes(variable));
      expect([name, local.environment(containerOf('StatefulSet', name))]).toEqual([
        name,
        expect.objectContaining(Object.fromEntries(same)),
      ]);
    }
    const images = Object.values(containers);
    const wanted = images.map(({ image }) => /^\$\{\w+:-(.*)\}$/.exec(image)?.[1] ?? image);
    const own = local.workloads().flatMap(({ template }) => template.spec.containers.map(({ image }) => image));
    expect(wanted).toEqual(expect.arrayContaining(own.filter((image) => !image.startsWith('biz-retail/'))));
  });
});

function containerOf(kind: string, name: string): Container {
  const { template } = local.get(kind, name).spec as { template: PodTemplate };
  return template.spec.containers[0] as Container;
}
