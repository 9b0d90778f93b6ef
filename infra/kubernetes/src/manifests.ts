import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repository } from '@biz/local';
import { makeKeys } from '@biz/setup';
import { parseAllDocuments } from 'yaml';

export const overlays = ['local', 'production'] as const;
export type Overlay = (typeof overlays)[number];

/** A copy of what is rendered, with keys as `npm run kubernetes:keys` makes them, in a temporary folder that disposing removes. */
export async function manifestFolder(): Promise<
  Disposable & { readonly of: (overlay: Overlay) => string; readonly operators: string; readonly folder: string }
> {
  const folder = mkdtempSync(join(tmpdir(), 'biz-kubernetes-'));
  const from = join(repository, 'infra');
  const skip = ['node_modules', 'keys', 'src'].map((name) => `/${name}`);
  const filter = (path: string) => !skip.some((name) => path.endsWith(name));
  cpSync(join(from, 'kubernetes'), join(folder, 'kubernetes'), { recursive: true, filter });
  mkdirSync(join(folder, 'otel'));
  for (const file of ['kustomization.yaml', 'collector.yaml']) cpSync(join(from, 'otel', file), join(folder, 'otel', file));
  const of = (overlay: Overlay) => join(folder, 'kubernetes/overlays', overlay);
  await makeKeys({ folder: join(of('local'), 'keys'), realm: 'biz', publicUrl: 'https://localhost:8443' });
  return {
    folder,
    of,
    operators: join(folder, 'kubernetes/operators'),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The manifests of a text, in order. */
export function manifestsOf(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
}

/** Looks among the manifests of one overlay. */
export class Manifests {
  readonly all: readonly Manifest[];

  constructor(all: readonly Manifest[]) {
    this.all = all;
  }

  of(kind: string): Manifest[] {
    return this.all.filter((one) => one.kind === kind);
  }

  /** Throws when there is none. */
  get(kind: string, name: string): Manifest {
    const found = this.of(kind).find((one) => one.metadata.name === name);
    if (!found) throw new Error(`there is no ${kind} ${name}`);
    return found;
  }

  /** What runs pods, each with its template. */
  workloads(): { name: string; kind: string; template: PodTemplate }[] {
    const found = ['Deployment', 'StatefulSet', 'Job'].flatMap((kind) => this.of(kind));
    return found.map(({ kind, metadata: { name }, spec }) => ({ kind, name, template: spec?.template as PodTemplate }));
  }

  /** The environment of a workload's container, as the kubelet puts it together: maps in order, then what is named one by one. */
  environment(container: Container): Record<string, string> {
    const maps = (container.envFrom ?? []).flatMap(({ configMapRef }) =>
      configMapRef ? [this.get('ConfigMap', configMapRef.name).data] : [],
    );
    return Object.assign({}, ...maps, ...(container.env ?? []).map(({ name, value }) => ({ [name]: value })));
  }

  /** Names of the keys in a secret: of one that is made here, fetched from elsewhere, or issued. Undefined when nothing makes it. */
  secretKeys(name: string): string[] | undefined {
    const own = this.of('Secret').find((one) => one.metadata.name === name);
    if (own) return Object.keys({ ...own.data, ...own.stringData });
    const external = this.of('ExternalSecret').find(({ spec }) => (spec?.target as { name?: string })?.name === name);
    if (external?.spec) return (external.spec.data as { secretKey: string }[]).map(({ secretKey }) => secretKey);
    const issued = this.of('Certificate').some(({ spec }) => spec?.secretName === name);
    return issued ? ['ca.crt', 'tls.crt', 'tls.key'] : undefined;
  }
}

export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  spec?: Record<string, unknown>;
  data?: Record<string, string>;
  stringData?: Record<string, string>;
}

export interface PodTemplate {
  metadata: { labels: Record<string, string> };
  spec: {
    containers: Container[];
    volumes?: { name: string; secret?: { secretName: string }; configMap?: { name: string } }[];
    securityContext?: Record<string, unknown>;
    automountServiceAccountToken?: boolean;
    terminationGracePeriodSeconds?: number;
    hostNetwork?: boolean;
  };
}

export interface Container {
  name: string;
  image: string;
  command?: string[];
  workingDir?: string;
  envFrom?: { configMapRef?: { name: string }; secretRef?: { name: string; optional?: boolean } }[];
  env?: { name: string; value: string }[];
  ports?: { name: string; containerPort: number }[];
  volumeMounts?: { name: string; mountPath: string }[];
  resources?: { requests?: object; limits?: { memory?: string } };
  securityContext?: Record<string, unknown>;
  startupProbe?: Probe;
  readinessProbe?: Probe;
  livenessProbe?: Probe;
  lifecycle?: { preStop?: { sleep?: { seconds: number } } };
}

export interface Probe {
  exec?: { command: string[] };
  httpGet?: { path: string; port: string | number; scheme?: string };
  tcpSocket?: { port: string | number };
}
