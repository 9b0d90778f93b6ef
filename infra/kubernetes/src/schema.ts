/** As much of a CRD's structural schema (OpenAPI 3) as is checked here. */
export interface Schema {
  readonly type?: string;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
}

/** What is wrong with a value, each with its path: unknown fields, missing ones, other types, values that are not allowed. */
export function schemaFaults(schema: Schema, value: unknown, path = 'spec'): string[] {
  const type = typeOf(value);
  const wanted = schema['x-kubernetes-int-or-string'] ? undefined : schema.type;
  if (wanted !== undefined && wanted !== type && !(wanted === 'number' && type === 'integer')) return [`${path} is no ${wanted}`];
  if (schema.enum && !schema.enum.includes(value)) return [`${path} is none of ${schema.enum.join(', ')}`];
  if (typeof value === 'string' && schema.pattern && !new RegExp(schema.pattern).test(value)) return [`${path} is not ${schema.pattern}`];
  if (typeof value === 'number' && (value < (schema.minimum ?? value) || value > (schema.maximum ?? value)))
    return [`${path} is out of range`];
  if (Array.isArray(value)) return value.flatMap((one, index) => schemaFaults(schema.items ?? {}, one, `${path}.${index}`));
  if (type !== 'object') return [];
  return fieldFaults(schema, value as Record<string, unknown>, path);
}

function fieldFaults(schema: Schema, value: Readonly<Record<string, unknown>>, path: string): string[] {
  const missing = (schema.required ?? []).filter((name) => value[name] === undefined).map((name) => `${path}.${name} is missing`);
  const others = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
  const open = schema['x-kubernetes-preserve-unknown-fields'] ?? schema.additionalProperties === true;
  const faults = Object.entries(value).flatMap(([name, one]) => {
    const known = schema.properties?.[name] ?? others;
    if (known) return schemaFaults(known, one, `${path}.${name}`);
    return open ? [] : [`${path}.${name} is not a field that is known here`];
  });
  return [...missing, ...faults];
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (value === null) return 'null';
  return Number.isInteger(value) ? 'integer' : typeof value;
}
