import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { auditTopic, gatewayName, plainProgress, repository, seeder, services } from '@biz/local';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { customFaults, isCustom } from './custom-resources.ts';
import {
  type Container,
  type Manifest,
  Manifests,
  manifestFolder,
  manifestsOf,
  type Overlay,
  overlays,
  type PodTemplate,
} from './manifests.ts';
import { kustomizer, schemaChecker } from './tools.ts';

const names = [gatewayName, ...services.map(({ name }) => name)];
const render = await kustomizer(plainProgress('kustomize'));
const folder = await manifestFolder();
const rendered: Record<string, { text: string; manifests: Manifests }> = {};
let check: Awaited<ReturnType<typeof schemaChecker>>;
/** The first run on a machine fetches and builds. */
const firstTime = 600_000;
afterAll(() => folder[Symbol.dispose]());

const of = (overlay: Overlay) => rendered[overlay]?.manifests ?? new Manifests([]);
const processOf = (overlay: Overlay, name: string) => of(overlay).get('Deployment', name).spec?.template as PodTemplate;
const containerOf = ({ spec: { containers } }: PodTemplate): Container => {
  const [container] = containers;
  if (!container || containers.length !== 1) throw new Error('one container a pod');
  return container;
};
const foldersOf = (name: string) => (name === gatewayName ? gatewayName : join('services', name));

describe.skipIf(render === undefined)('the manifests (kustomize needs Go, kubectl or itself)', () => {
  beforeAll(async () => {
    check = await schemaChecker(plainProgress('kubernetes-validate'));
    for (const overlay of overlays) {
      const text = (await render?.(folder.of(overlay))) ?? '';
      rendered[overlay] = { text, manifests: new Manifests(manifestsOf(text)) };
    }
  }, firstTime);

  test.each(overlays)('of %s are what Kubernetes and the operators take', { timeout: firstTime }, async (overlay) => {
    const file = join(folder.folder, `${overlay}.yaml`);
    writeFileSync(file, rendered[overlay]?.text ?? '');
    expect(await check(file)).toEqual([]);
    const custom = of(overlay).all.filter(isCustom);
    expect(custom.flatMap(customFaults)).toEqual([]);
    expect(new Set(of(overlay).all.map(({ kind }) => kind))).toContain('ScaledObject');
    expect(of(overlay).all.every(({ kind, metadata }) => kind === 'Namespace' || metadata.namespace === 'biz-retail')).toBe(true);
  });

  test('a manifest with a fault is named', { timeout: firstTime }, async () => {
    const file = join(folder.folder, 'faulty.yaml');
    writeFileSync(file, rendered.production?.text.replace('readOnlyRootFilesystem', 'readOnlyRootFileSystem') ?? '');
    expect(await check(file)).toEqual([expect.stringContaining('readOnlyRootFileSystem')]);
    const [certificate] = of('production').of('Certificate') as [Manifest];
    const without = { ...certificate, spec: { ...certificate.spec, issuerRef: undefined } };
    expect([customFaults(without), customFaults({ ...certificate, spec: { ...certificate.spec, uri: [] } })]).toEqual([
      [expect.stringContaining('issuerRef')],
      [expect.stringContaining('spec.uri')],
    ]);
  });

  describe.each(overlays)('in %s', (overlay) => {
    test.each(names)('%s reads the settings that it is given, and is given no other', async (name) => {
      const template = processOf(overlay, name);
      const env = of(overlay).environment(containerOf(template));
      const module = (await import(join(repository, foldersOf(name), 'src/config.ts'))) as Record<string, unknown>;
      const settings = module.settingNames as string[];
      const known = (variable: string) =>
        settings.includes(variable) || settings.includes(variable.replace(/_FILE$/, '')) || variable.startsWith('OTEL_');
      expect(Object.keys(env).filter((variable) => !known(variable))).toEqual([]);
      const read = Object.values(module).find((value) => typeof value === 'function') as (
        env: NodeJS.ProcessEnv,
      ) => Record<string, unknown>;
      const config = read(withFiles(overlay, template, env));
      expect(Object.keys(config.SERVICE_ADDRESSES as object).sort()).toEqual(names.filter((one) => one !== gatewayName).sort());
      // a service that names its callers has to let the gateway in, too
      if (name !== gatewayName) expect(config.ALLOWED_PEERS).toContain(gatewayName);
    });

    test.each(names)('%s runs its own image, by its own certificate, without rights, and is asked how it is', (name) => {
      const template = processOf(overlay, name);
      const container = containerOf(template);
      expect(container.image).toMatch(new RegExp(`^biz-retail/${name}:\\d`));
      const uri = of(overlay).get('Certificate', name).spec?.uris;
      expect(uri).toEqual([`spiffe://biz-retail/${name}`]);
      expect(volumeAt(template, '/home/node/tls')).toBe(of(overlay).get('Certificate', name).spec?.secretName);
      for (const probe of [container.startupProbe, container.readinessProbe]) {
        if (probe?.exec)
          expect(
            existsSync(join(repository, foldersOf(name), probe.exec.command[1]?.replace('dist', 'src').replace('.js', '.ts') ?? '')),
          ).toBe(true);
        else expect(readFileSync(join(repository, 'gateway/src/health.ts'), 'utf8')).toContain(`'${probe?.httpGet?.path}'`);
      }
      const { GRPC_LISTEN = '', GATEWAY_PORT = '' } = of(overlay).environment(container);
      expect(container.ports?.map(({ containerPort }) => String(containerPort))).toEqual([GRPC_LISTEN.split(':')[1] ?? GATEWAY_PORT]);
      const grace = template.spec.terminationGracePeriodSeconds ?? 0;
      // a process drains for at most 10 s (libs/service), after what its callers need to hear of it
      expect(grace).toBeGreaterThan(10 + (container.lifecycle?.preStop?.sleep?.seconds ?? 0));
      expect(of(overlay).get('PodDisruptionBudget', name).spec?.selector).toEqual({ matchLabels: { 'app.kubernetes.io/name': name } });
    });

    test('nothing runs with more than it needs', () => {
      for (const { name, template } of of(overlay).workloads()) {
        const { spec } = template;
        expect([name, spec.automountServiceAccountToken, spec.hostNetwork]).toEqual([name, false, undefined]);
        expect([name, spec.securityContext]).toEqual([
          name,
          expect.objectContaining({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }),
        ]);
        for (const container of spec.containers) {
          const own = container.image.startsWith('biz-retail/');
          expect([name, container.securityContext]).toEqual([
            name,
            expect.objectContaining({
              allowPrivilegeEscalation: false,
              capabilities: { drop: ['ALL'] },
              ...(own && { readOnlyRootFilesystem: true }),
            }),
          ]);
          expect([name, container.resources]).toEqual([name, { requests: expect.anything(), limits: { memory: expect.any(String) } }]);
          expect([name, container.image]).toEqual([name, expect.stringMatching(/:[0-9][^@]*$/)]);
        }
      }
    });

    test('every secret and every key of it that is mounted is made by something', () => {
      for (const { name, template } of of(overlay).workloads()) {
        for (const { secret } of template.spec.volumes ?? []) {
          if (secret)
            expect([name, secret.secretName, of(overlay).secretKeys(secret.secretName)]).toEqual([
              name,
              secret.secretName,
              expect.any(Array),
            ]);
        }
      }
    });

    test('only the gateway is reached from outside', () => {
      const open = of(overlay)
        .of('Service')
        .filter(({ spec }) => (spec?.type ?? 'ClusterIP') !== 'ClusterIP');
      expect(open.map(({ metadata: { name }, spec }) => [name, spec?.externalTrafficPolicy])).toEqual([[gatewayName, 'Local']]);
      expect([of(overlay).of('Ingress'), of(overlay).of('HTTPRoute')]).toEqual([[], []]);
      expect(of(overlay).get('NetworkPolicy', 'nothing').spec).toEqual({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
      const fromAnywhere = of(overlay)
        .of('NetworkPolicy')
        .filter(({ spec }) => (spec?.ingress as { from?: unknown }[] | undefined)?.some(({ from }) => !from));
      expect(fromAnywhere.map(({ metadata }) => metadata.name)).toEqual([gatewayName]);
    });

    test('whom the network lets call a service, the service takes calls from, and the other way round', () => {
      for (const { name } of services) {
        const { ingress = [] } = of(overlay).get('NetworkPolicy', `${name}-callers`).spec as {
          ingress?: { from: { podSelector: Selector }[] }[];
        };
        const callers = ingress[0]?.from[0]?.podSelector.matchExpressions?.[0]?.values ?? [];
        const { ALLOWED_PEERS = '' } = of(overlay).environment(containerOf(processOf(overlay, name)));
        expect([name, callers]).toEqual([name, [gatewayName, ...ALLOWED_PEERS.split(',')]]);
        expect([...names, seeder]).toEqual(expect.arrayContaining(callers));
        expect(of(overlay).get('Service', name).spec).toMatchObject({ clusterIP: 'None', ports: [{ port: 50051, targetPort: 'grpc' }] });
      }
    });

    test('every policy is about pods that there are', () => {
      const pods = of(overlay)
        .workloads()
        .map(({ template }) => template.metadata.labels);
      const idle = of(overlay)
        .of('NetworkPolicy')
        .filter(({ spec }) => !pods.some((labels) => selects(spec?.podSelector as Selector, labels)));
      expect(idle.map(({ metadata }) => metadata.name)).toEqual([]);
    });

    test('consumers are made more by the lag that they have, up to the partitions that there are', () => {
      const spec = of(overlay).get('ScaledObject', 'audit').spec as {
        triggers: { metadata: Record<string, string> }[];
        maxReplicaCount: number;
      };
      const { KAFKA_BROKERS, AUDIT_TOPIC, CONSUMER_GROUP } = of(overlay).environment(containerOf(processOf(overlay, 'audit')));
      expect(spec.triggers[0]?.metadata).toMatchObject({
        bootstrapServers: KAFKA_BROKERS,
        topic: AUDIT_TOPIC,
        consumerGroup: CONSUMER_GROUP,
        // Kafka 4 speaks nothing older than 2.1, the scaler's default is 1.0
        version: expect.stringMatching(/^(2\.[1-9]|[34]\.)/),
        offsetResetPolicy: 'earliest',
      });
      expect(spec.maxReplicaCount).toBeLessThanOrEqual(auditTopic.partitions);
      // two that scale one thing would undo each other's work
      expect(
        of(overlay)
          .of('HorizontalPodAutoscaler')
          .map(({ metadata: { name } }) => name)
          .sort(),
      ).toEqual(names.filter((name) => name !== 'audit').sort());
    });
  });

  test('telemetry of production waits for its key, which a process that is started without never gets', () => {
    for (const name of ['collector', 'retention']) {
      const [, secret] = containerOf(processOf('production', name)).envFrom ?? [];
      expect([name, secret]).toEqual([name, { secretRef: { name: 'telemetry-keys' } }]);
      expect(of('production').secretKeys('telemetry-keys')).toEqual(['ELASTICSEARCH_API_KEY']);
    }
  });
});

interface Selector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values: string[] }[];
}

function selects({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Readonly<Record<string, string>>): boolean {
  const all = Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
  return all && matchExpressions.every(({ key, values }) => values.includes(labels[key] ?? ''));
}

function volumeAt(template: PodTemplate, path: string): string | undefined {
  const mount = containerOf(template).volumeMounts?.find(({ mountPath }) => mountPath === path);
  return template.spec.volumes?.find(({ name }) => name === mount?.name)?.secret?.secretName;
}

/** The environment with each file that is a mounted secret's key as a file that there is: its keys where they are made here, else something like it. */
function withFiles(overlay: Overlay, template: PodTemplate, env: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(env).map(([variable, value]) => {
    const [, mount, key] = /^(\/home\/node\/(?:keys|tls|public-tls))\/(.+)$/.exec(value) ?? [];
    if (mount === undefined || key === undefined) return [variable, value];
    const secret = volumeAt(template, mount) ?? '';
    expect([variable, of(overlay).secretKeys(secret)]).toEqual([variable, expect.arrayContaining([key])]);
    const file = join(folder.folder, 'files', overlay, secret, key);
    mkdirSync(join(file, '..'), { recursive: true });
    const made = of(overlay)
      .of('Secret')
      .find(({ metadata }) => metadata.name === secret)?.data?.[key];
    writeFileSync(file, made ? Buffer.from(made, 'base64') : likeIt(key));
    return [variable, file];
  });
  return Object.fromEntries(entries) as Record<string, string>;
}

function likeIt(key: string): string {
  if (key === 'smtp-url') return 'smtps://user:secret@mail.example.com:465';
  if (key.endsWith('-url')) return 'https://user:secret@host.example.com:9200';
  return Buffer.alloc(32, 7).toString('base64');
}
