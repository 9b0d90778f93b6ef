import type { Fault } from '@biz/errors';
import { Ajv2020 as Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv/dist/2020.js';
import { addFormats, formatMessages } from './formats.ts';
import type { FieldModel, MessageModel, MethodModel } from './model.ts';
import { jsonSchema } from './schema.ts';

/** Most faults told for one request; a body of nonsense must not make an answer larger than itself. */
export const maxFaults = 50;

/** An Ajv that knows our formats. `coerce` is for query strings, where everything arrives as text. */
export function createAjv(options: { readonly coerce?: boolean } = {}): Ajv {
  const settings: Options = {
    allErrors: true,
    strict: true,
    strictTypes: false,
    coerceTypes: options.coerce ?? false,
    useDefaults: false,
    removeAdditional: false,
    allowUnionTypes: true,
    unicodeRegExp: true,
  };
  return addFormats(new Ajv(settings)) as Ajv;
}

/** Ajv's errors as our faults: a JSON Pointer each and a sentence that a person understands; values are never repeated. */
export function faultsOf(errors: readonly ErrorObject[] | null | undefined): Fault[] {
  const faults = (errors ?? []).filter((error) => error.keyword !== 'if' && error.keyword !== 'anyOf').map(faultOf);
  const distinct = new Map(faults.map((fault) => [`${fault.path}\0${fault.message}`, fault]));
  return [...distinct.values()].slice(0, maxFaults);
}

function faultOf(error: ErrorObject): Fault {
  const path = error.instancePath;
  const params = error.params as Record<string, unknown>;
  switch (error.keyword) {
    case 'required':
      return { path: `${path}/${pointer(params.missingProperty)}`, message: 'is required' };
    case 'additionalProperties':
      return { path: `${path}/${pointer(params.additionalProperty)}`, message: 'is not a known field' };
    case 'format':
      return { path, message: formatMessages[String(params.format)] ?? `does not have the format ${String(params.format)}` };
    case 'enum':
      return { path, message: `is not one of ${(params.allowedValues as unknown[]).filter((value) => value !== null).join(', ')}` };
    case 'type':
      return { path, message: `must be of type ${[params.type].flat().join(' or ')}` };
    case 'wellFormed':
      return { path, message: 'holds a lone surrogate, which is not text' };
    case 'minLength':
      return { path, message: params.limit === 1 ? 'must not be empty' : `must have at least ${String(params.limit)} characters` };
    case 'maxLength':
      return { path, message: `must have at most ${String(params.limit)} characters` };
    default:
      return { path, message: error.message ?? 'is not valid' };
  }
}

/** One reference token of a JSON Pointer (RFC 6901), cut so that a long unknown key does not come back whole. */
function pointer(key: unknown): string {
  return String(key).slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1');
}

const ajv = createAjv();
const validators = new WeakMap<MessageModel, ValidateFunction>();

/**
 * The check at the gRPC boundary: every rule of the proto on the decoded request, compiled once a message. Empty when the request is good.
 * Empty values of fields without presence are taken for absent, as proto3 does, and removed from the request.
 */
export function requestFaults(method: MethodModel, request: object): Fault[] {
  const record = request as Record<string, unknown>;
  dropDefaults(method.request, record);
  const validate = validatorOf(method.request);
  const faults = validate(record) ? [] : faultsOf(validate.errors);
  return method.rules.merge_patch ? [...faults, ...maskFaults(method, record)] : faults;
}

function validatorOf(message: MessageModel): ValidateFunction {
  const known = validators.get(message);
  if (known) return known;
  const validate = ajv.compile(jsonSchema(message, 'message'));
  validators.set(message, validate);
  return validate;
}

function dropDefaults(message: MessageModel, record: Record<string, unknown>): void {
  for (const field of message.fields) {
    const value = record[field.name];
    if (value === undefined) continue;
    if (isAbsent(field, value)) delete record[field.name];
    else if (field.message && !field.map && !field.repeated) dropDefaults(field.message, value as Record<string, unknown>);
  }
}

function isAbsent(field: FieldModel, value: unknown): boolean {
  if (value === null) return true;
  if (field.repeated || field.map || field.optional) return false;
  return value === '' || value === 0 || value === false;
}

/** A merge patch may name only fields of the message, and clear only those that the proto says may be null. */
function maskFaults(method: MethodModel, record: Record<string, unknown>): Fault[] {
  const mask = record.update_mask as { paths?: string[] } | undefined;
  return (mask?.paths ?? []).slice(0, maxFaults).flatMap((path) => {
    const field = method.request.fields.find((candidate) => candidate.name === path && !candidate.rules.header);
    if (!field || field.name === 'update_mask' || method.http?.params.includes(path))
      return [{ path: `/${pointer(path)}`, message: 'is not a field that can be changed' }];
    if (record[path] === undefined && !field.rules.nullable && !field.repeated && !field.map)
      return [{ path: `/${path}`, message: 'cannot be cleared' }];
    return [];
  });
}
