import { Certificate, Issuer } from '@kubernetes-models/cert-manager/cert-manager.io/v1';
import { ExternalSecret, SecretStore } from '@kubernetes-models/external-secrets/external-secrets.io/v1';
import { ScaledObject, TriggerAuthentication } from '@kubernetes-models/keda/keda.sh/v1alpha1';
import type { Manifest } from './manifests.ts';
import schemas from './operator-schemas.json' with { type: 'json' };
import { type Schema, schemaFaults } from './schema.ts';

/** A kind of an operator's: its schema as that operator publishes it, and the fields of its `spec` that are used here. */
type Known = { readonly model: new (data: never) => { validate(): void }; readonly fields: readonly string[] };

const certificate = [
  'secretName',
  'issuerRef',
  'uris',
  'dnsNames',
  'usages',
  'privateKey',
  'duration',
  'renewBefore',
  'isCA',
  'commonName',
];
const scaled = ['scaleTargetRef', 'minReplicaCount', 'maxReplicaCount', 'pollingInterval', 'cooldownPeriod', 'advanced', 'triggers'];

const known: Readonly<Record<string, Known>> = {
  'cert-manager.io/v1 Certificate': { model: Certificate, fields: certificate },
  'cert-manager.io/v1 Issuer': { model: Issuer, fields: ['ca', 'selfSigned'] },
  'keda.sh/v1alpha1 ScaledObject': { model: ScaledObject, fields: scaled },
  'keda.sh/v1alpha1 TriggerAuthentication': { model: TriggerAuthentication, fields: ['secretTargetRef'] },
  'external-secrets.io/v1 ExternalSecret': { model: ExternalSecret, fields: ['refreshInterval', 'secretStoreRef', 'target', 'data'] },
  'external-secrets.io/v1 SecretStore': { model: SecretStore, fields: ['provider'] },
};

/** Of operators whose schemas are in no package: the parts of their CRDs' that operators/ uses (src/cut-schemas.ts). */
const cutSchemas: Readonly<Record<string, Schema>> = schemas;

/** Whether a manifest is an operator's: Kubernetes' own groups have no dot but in `k8s.io`. */
export function isCustom({ apiVersion }: Manifest): boolean {
  const [group = '', version] = apiVersion.split('/');
  return version !== undefined && group.includes('.') && !group.endsWith('.k8s.io');
}

/**
 * What is wrong with an operator's resource. Types and required fields are checked by its schema (@kubernetes-models, made from the operators'
 * CRDs), which lets unknown fields pass: so those of `spec` are held against a list of ours. Where there is no such package it is a schema cut
 * from the CRD, which lets none pass.
 */
export function customFaults(manifest: Manifest): string[] {
  const { apiVersion, kind, metadata, spec = {} } = manifest;
  const what = `${kind} ${metadata.name}`;
  const cut = cutSchemas[`${apiVersion} ${kind}`];
  if (cut) return schemaFaults(cut, spec).map((fault) => `${what}: ${fault}`);
  const entry = known[`${apiVersion} ${kind}`];
  if (!entry) return [`${what}: nothing is known of ${apiVersion}`];
  const stray = Object.keys(spec).filter((name) => !entry.fields.includes(name));
  try {
    new entry.model(manifest as never).validate();
  } catch (error) {
    return [`${what}: ${error instanceof Error ? error.message : String(error)}`];
  }
  return stray.map((name) => `${what}: spec.${name} is not a field that is known here`);
}
