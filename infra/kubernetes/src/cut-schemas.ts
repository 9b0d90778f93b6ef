// Writes operator-schemas.json: `npm run schemas -- <a file with CRDs>…` in this workspace, then `npm run format`.
// To be run again when operators/ uses another field or another version of an operator. The CRDs are those of the operators' releases (operators/README.md).

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { isCustom } from './custom-resources.ts';
import { type Manifest, manifestsOf } from './manifests.ts';
import type { Schema } from './schema.ts';
import { kustomizer } from './tools.ts';

interface Definition {
  kind: string;
  spec: {
    group: string;
    names: { kind: string };
    versions: { name: string; schema: { openAPIV3Schema: Schema } }[];
  };
}

const kept = ['type', 'required', 'enum', 'pattern', 'minimum', 'maximum', 'x-kubernetes-int-or-string'] as const;
const open = 'x-kubernetes-preserve-unknown-fields';

/** The part of a schema that is about what a value has: the rest of a CRD (a megabyte) is about what nothing here uses. */
function cut(schema: Schema, value: unknown): Schema {
  const own: Record<string, unknown> = {};
  for (const name of kept) if (schema[name] !== undefined) own[name] = schema[name];
  if (schema[open]) own[open] = true;
  if (Array.isArray(value) && schema.items) {
    const parts = value.map((one) => cut(schema.items as Schema, one));
    own.items = parts.reduce(merged, {});
  } else if (typeof value === 'object' && value !== null) {
    if (typeof schema.additionalProperties === 'object') {
      const additional = schema.additionalProperties;
      own.additionalProperties = Object.values(value)
        .map((one) => cut(additional, one))
        .reduce(merged, {});
    }
    const used = Object.entries(value).flatMap(([name, one]) => {
      const known = schema.properties?.[name];
      return known ? [[name, cut(known, one)] as const] : [];
    });
    if (schema.properties) own.properties = Object.fromEntries(used);
  }
  return own;
}

function merged(one: Schema, other: Schema): Schema {
  const names = new Set([...Object.keys(one.properties ?? {}), ...Object.keys(other.properties ?? {})]);
  const both = [...names].map((name) => [name, merged(one.properties?.[name] ?? {}, other.properties?.[name] ?? {})] as const);
  const items = one.items || other.items ? { items: merged(one.items ?? {}, other.items ?? {}) } : {};
  return { ...one, ...other, ...items, ...(names.size > 0 && { properties: Object.fromEntries(both) }) };
}

const home = join(import.meta.dirname, '..');
const definitions = process.argv
  .slice(2)
  .flatMap((file) => parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as Definition | null))
  .filter((one) => one?.kind === 'CustomResourceDefinition') as Definition[];
const render = await kustomizer(console.error);
const manifests = manifestsOf((await render?.(join(home, 'operators'))) ?? '').filter(isCustom);
const schemas: Record<string, Schema> = {};
for (const { apiVersion, kind, ...rest } of manifests as (Manifest & { spec: unknown })[]) {
  const [group, version] = apiVersion.split('/');
  const definition = definitions.find(({ spec }) => spec.group === group && spec.names.kind === kind);
  const whole = definition?.spec.versions.find(({ name }) => name === version)?.schema.openAPIV3Schema.properties?.spec;
  if (!whole) continue;
  const name = `${apiVersion} ${kind}`;
  schemas[name] = merged(schemas[name] ?? {}, cut(whole, rest.spec));
}
writeFileSync(join(import.meta.dirname, 'operator-schemas.json'), `${JSON.stringify(schemas, null, 2)}\n`);
console.log(`${Object.keys(schemas).join(', ')}`);
