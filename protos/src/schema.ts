import type { FieldModel, MessageModel, MethodModel } from './model.ts';

/** JSON Schema (draft 2020-12, the parts that Ajv and OpenAPI 3.1 share). */
export type JsonSchema = { [keyword: string]: unknown };

/** Longest string without a `max_len` of its own, in code points. */
export const defaultMaxLength = 4000;
/** Most items of a list or map without a `max_len` of its own. */
export const defaultMaxItems = 1000;

/** What a schema is for: the HTTP parts of a request, an answer, or the decoded message at the gRPC boundary. */
export type SchemaUse = 'body' | 'query' | 'params' | 'response' | 'message';

/** Schemas of the HTTP parts of a method, ready for a Fastify route. */
export function httpSchemas(method: MethodModel): {
  params?: JsonSchema;
  querystring?: JsonSchema;
  body?: JsonSchema;
  headers: FieldModel[];
} {
  const { http, request, rules } = method;
  if (!http) throw new Error(`${method.path} has no google.api.http`);
  const isParam = (field: FieldModel) => http.params.includes(field.name);
  const open = request.fields.filter((field) => !isParam(field) && !field.rules.header && !isServerSide(field));
  return {
    ...(http.params.length ? { params: objectSchema(request.fields.filter(isParam), 'params') } : {}),
    ...(http.body === '*' ? { body: objectSchema(open, 'body', rules.merge_patch) } : { querystring: objectSchema(open, 'query') }),
    headers: request.fields.filter((field) => field.rules.header),
  };
}

/** Schema of a whole message. */
export function jsonSchema(message: MessageModel, use: SchemaUse): JsonSchema {
  const fields = use === 'response' ? message.fields.filter((field) => !isSealList(field)) : message.fields;
  const schema = objectSchema(fields, use);
  return message.comment ? { ...schema, description: message.comment } : schema;
}

/** Fields by which a service tells the gateway which personal fields it did not open; never part of the JSON. */
export function isSealList(field: FieldModel): boolean {
  return field.name === 'sealed_fields' || field.name === 'erased_fields';
}

function isServerSide(field: FieldModel): boolean {
  return field.rules.output_only || field.message?.fullName === 'google.protobuf.FieldMask';
}

function objectSchema(fields: readonly FieldModel[], use: SchemaUse, mergePatch = false): JsonSchema {
  const required = mergePatch ? [] : fields.filter((field) => (use === 'response' ? alwaysThere(field) : field.rules.required));
  return {
    type: 'object',
    additionalProperties: use === 'response',
    properties: Object.fromEntries(fields.map((field) => [field.name, fieldSchema(field, use)])),
    ...(required.length ? { required: required.map((field) => field.name) } : {}),
  };
}

function alwaysThere(field: FieldModel): boolean {
  return !field.optional && !field.rules.personal;
}

function fieldSchema(field: FieldModel, use: SchemaUse): JsonSchema {
  const single = valueSchema(field, use);
  const count = { ...(field.rules.required ? { minItems: 1 } : {}), maxItems: field.rules.max_len || defaultMaxItems };
  const properties = { ...(field.rules.required ? { minProperties: 1 } : {}), maxProperties: field.rules.max_len || defaultMaxItems };
  const schema: JsonSchema = field.map
    ? { type: 'object', additionalProperties: single, ...properties }
    : field.repeated
      ? { type: 'array', items: single, ...count }
      : single;
  const nullable =
    (use === 'body' && field.rules.nullable) ||
    (use === 'response' && (field.optional || (field.message !== undefined && !field.repeated && !field.map)));
  return {
    ...(nullable ? orNull(schema) : schema),
    ...(field.comment ? { description: field.comment } : {}),
    ...(field.rules.example && use !== 'message' ? { examples: [exampleOf(field)] } : {}),
  };
}

function orNull(schema: JsonSchema): JsonSchema {
  if (typeof schema.type !== 'string') return schema;
  const closed = Array.isArray(schema.enum) ? { enum: [...schema.enum, null] } : {};
  return { ...schema, type: [schema.type, 'null'], ...closed };
}

function exampleOf(field: FieldModel): unknown {
  return field.type === 'string' || field.type === 'bytes' ? field.rules.example : JSON.parse(field.rules.example);
}

function valueSchema(field: FieldModel, use: SchemaUse): JsonSchema {
  switch (field.type) {
    case 'message':
      return field.message ? jsonSchema(field.message, use) : {};
    case 'bool':
      return { type: 'boolean' };
    case 'bytes':
      return use === 'message' ? {} : { type: 'string', contentEncoding: 'base64' };
    case 'double':
      return { type: 'number', ...bounds(field, undefined, undefined) };
    case 'int32':
      return { type: 'integer', ...bounds(field, -(2 ** 31), 2 ** 31 - 1) };
    case 'uint32':
      return { type: 'integer', ...bounds(field, 0, 2 ** 32 - 1) };
    case 'int64':
      return { type: 'integer', ...bounds(field, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER) };
    case 'string':
      return stringSchema(field, use);
  }
}

function bounds(field: FieldModel, min: number | undefined, max: number | undefined): JsonSchema {
  const minimum = field.rules.min ?? min;
  const maximum = field.rules.max ?? max;
  return { ...(minimum === undefined ? {} : { minimum }), ...(maximum === undefined ? {} : { maximum }) };
}

function stringSchema(field: FieldModel, use: SchemaUse): JsonSchema {
  const { rules } = field;
  if (rules.json) return use === 'message' ? { type: 'string', format: 'json' } : use === 'response' ? {} : { type: 'object' };
  if (use === 'response')
    return { type: 'string', ...(rules.format ? { format: rules.format } : {}), ...(rules.in.length ? { enum: rules.in } : {}) };
  const minLength = Math.max(rules.min_len, rules.required && !field.repeated ? 1 : 0);
  return {
    type: 'string',
    wellFormed: true,
    ...(minLength ? { minLength } : {}),
    maxLength: rules.max_len && !field.repeated && !field.map ? rules.max_len : defaultMaxLength,
    ...(rules.pattern ? { pattern: rules.pattern } : {}),
    ...(rules.format ? { format: rules.format } : {}),
    ...(rules.in.length ? { enum: rules.in } : {}),
  };
}
