import type { IncomingHttpHeaders } from 'node:http';
import { AppError, type Fault } from '@biz/errors';
import { isJsonObject, type JsonValue } from '@biz/json';
import { createAjv, type FieldModel, faultsOf, httpSchemas, type JsonSchema, jsonSchema, type MethodModel, maxFaults } from '@biz/protos';
import { jsonTextStep, numberStep } from './body.ts';
import { headerPath, versionIn } from './headers.ts';

/** The parts of an HTTP request that a message is made of. */
export type HttpParts = {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  readonly headers: IncomingHttpHeaders;
};

/** Makes the gRPC request; throws AppError `invalid_request` with every fault of every part, or `precondition_required`. */
export type ReadRequest = (parts: HttpParts) => Record<string, unknown>;

type Ajv = ReturnType<typeof createAjv>;
type ValidateFunction = ReturnType<Ajv['compile']>;
type Values = Record<string, unknown>;
type Part = (value: unknown, faults: Fault[]) => Values;

/** Bodies keep JSON's types; in paths, queries and headers everything is text and is read as what the proto says. */
const bodyRules = compiler(createAjv());
const textRules = compiler(createAjv({ coerce: true }));

/** Compiles schemas, equal ones once: most routes have the same path parameters, and compiling is what a start takes longest for. */
function compiler(ajv: Ajv): (schema: JsonSchema) => ValidateFunction {
  const compiled = new Map<string, ValidateFunction>();
  return (schema) => {
    const key = JSON.stringify(schema);
    const validate = compiled.get(key) ?? ajv.compile(schema);
    compiled.set(key, validate);
    return validate;
  };
}

/** Compiles the way from HTTP to the message of one method, once at start. */
export function compileRequest(method: MethodModel): ReadRequest {
  const schemas = httpSchemas(method);
  const params = textPart(schemas.params, []);
  const query = textPart(schemas.querystring ?? nothing, method.request.fields);
  const body = bodyPart(method, schemas.body);
  const headers = headerPart(schemas.headers);
  const names = method.rules.merge_patch ? (patch: Values) => ({ update_mask: { paths: Object.keys(patch) } }) : () => undefined;
  return (parts) => {
    const faults: Fault[] = [];
    const content = body(parts.body, faults);
    const mask = names(content);
    const message = { ...params(parts.params, faults), ...query(parts.query, faults), ...withoutNulls(content), ...mask };
    const missing = headers(parts.headers, message, faults);
    if (faults.length) {
      throw new AppError('invalid_request', 'The request does not fit the contract.', { faults: faults.slice(0, maxFaults) });
    }
    if (missing) throw new AppError('precondition_required', missing);
    return message;
  };
}

/** Schema of a part of the request that has no fields. */
const nothing: JsonSchema = { type: 'object', additionalProperties: false, properties: {} };

function textPart(schema: JsonSchema | undefined, fields: readonly FieldModel[]): Part {
  if (!schema) return () => ({});
  const validate = textRules(schema);
  const lists = fields.filter((field) => field.repeated).map((field) => field.name);
  return (value, faults) => {
    const values = { ...(value as Values) };
    for (const name of lists) if (typeof values[name] === 'string') values[name] = [values[name]];
    check(validate, values, faults);
    return values;
  };
}

function bodyPart(method: MethodModel, schema: JsonSchema = nothing): Part {
  const validate = bodyRules(schema);
  const numbers = numberStep(method.request);
  const texts = jsonTextStep(method.request);
  return (value, faults) => {
    if (value === undefined && method.rules.merge_patch) faults.push({ path: '', message: 'must be a merge patch (RFC 7396)' });
    const body = value === undefined ? {} : value;
    if (isJsonObject(body as JsonValue)) numbers?.(body as Values);
    if (!check(validate, body, faults)) return {};
    texts?.(body as Values);
    return body as Values;
  };
}

function check(validate: ValidateFunction, value: unknown, faults: Fault[]): boolean {
  if (validate(value)) return true;
  faults.push(...faultsOf(validate.errors));
  return false;
}

/** `null` in a body clears a field: the message leaves it out, and the mask names it. */
function withoutNulls(body: Values): Values {
  for (const name in body) if (body[name] === null) delete body[name];
  return body;
}

type HeaderPart = (headers: IncomingHttpHeaders, message: Values, faults: Fault[]) => string | undefined;

/** Adds the fields that come from headers; answers what to say when `If-Match` is required and missing. */
function headerPart(fields: readonly FieldModel[]): HeaderPart {
  if (fields.length === 0) return () => undefined;
  const rules = {
    fullName: '',
    name: '',
    comment: '',
    fields: fields.map((field) => ({ ...field, rules: { ...field.rules, required: false } })),
  };
  const validate = textRules(jsonSchema(rules, 'query'));
  const pathOf = new Map(fields.map((field) => [`/${field.name}`, headerPath(field.rules.header)]));
  return (headers, message, faults) => {
    const values: Values = {};
    let missing: string | undefined;
    for (const field of fields) {
      const { header, required } = field.rules;
      const text = headers[header];
      const value = header === 'if-match' && typeof text === 'string' ? versionIn(text) : text;
      if (value) values[field.name] = value;
      else if (value === undefined && text !== undefined)
        faults.push({ path: headerPath(header), message: 'is not an entity tag with a version, such as "3"' });
      else if (required && header === 'if-match') missing = 'Send If-Match with the entity tag that the change is based on, such as "3".';
      else if (required) faults.push({ path: headerPath(header), message: 'is required' });
    }
    if (!validate(values)) {
      for (const { path, message: text } of faultsOf(validate.errors)) faults.push({ path: pathOf.get(path) ?? path, message: text });
    }
    Object.assign(message, values);
    return missing;
  };
}
