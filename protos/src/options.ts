import type protobuf from 'protobufjs';
import type { FieldRules, HttpBinding, MethodRules, PersonalRule } from './model.ts';

/** Roles that see a personal field when its rule names none. */
const defaultOpenTo = ['admin', 'manager', 'dpo'];
const verbs = ['get', 'post', 'put', 'patch', 'delete'] as const;

/** `(biz.field)` of a field, defaults filled in; throws on a rule that options.proto does not know (protobufjs does not check). */
export function fieldRules(field: protobuf.Field): FieldRules {
  const raw = option(field, '(biz.field)');
  known(field, raw, 'biz.FieldRules');
  const bounds = raw.non_negative === true ? { min: 0, ...raw } : raw;
  return {
    required: raw.required === true,
    min_len: number(raw.min_len) ?? 0,
    max_len: number(raw.max_len) ?? 0,
    pattern: text(raw.pattern),
    format: text(raw.format),
    in: list(raw.in),
    min: number(bounds.min),
    max: number(bounds.max),
    json: raw.json === true,
    nullable: raw.nullable === true,
    header: text(raw.header).toLowerCase(),
    output_only: raw.output_only === true,
    personal: personal(field, raw.personal),
    example: text(raw.example),
  };
}

/** `(biz.method)` of a method, defaults filled in. */
export function methodRules(method: protobuf.Method): MethodRules {
  const raw = option(method, '(biz.method)');
  known(method, raw, 'biz.MethodRules');
  return {
    roles: list(raw.roles),
    event: text(raw.event),
    ownership: text(raw.ownership),
    status: number(raw.status) ?? 200,
    any_company: raw.any_company === true,
    merge_patch: raw.merge_patch === true,
    deadline_ms: number(raw.deadline_ms) ?? 0,
    any_client: raw.any_client === true,
  };
}

/** `google.api.http` of a method: one verb, `{param}` segments, body `*` or none. Other forms of the annotation are refused. */
export function httpBinding(method: protobuf.Method): HttpBinding | undefined {
  const raw = option(method, '(google.api.http)');
  const verb = verbs.find((candidate) => typeof raw[candidate] === 'string');
  if (!verb) return undefined;
  const path = text(raw[verb]);
  const body = text(raw.body);
  if (body !== '' && body !== '*') throw new Error(`${method.fullName}: only body "*" is supported`);
  return { verb, path, params: [...path.matchAll(/\{([^}]+)\}/g)].map((match) => match[1] ?? ''), body };
}

type Raw = Record<string, unknown>;

function option(element: protobuf.ReflectionObject, name: string): Raw {
  const parsed: unknown = element.parsedOptions;
  const entries = Array.isArray(parsed) ? parsed : [];
  return Object.assign({}, ...entries.map((entry: Raw) => entry[name] ?? {}));
}

function known(element: protobuf.ReflectionObject, raw: Raw, rulesType: string): void {
  const names = element.root.lookupType(rulesType).fields;
  const stray = Object.keys(raw).find((key) => !Object.hasOwn(names, key));
  if (stray) throw new Error(`${element.fullName}: ${rulesType} has no rule "${stray}"`);
}

function personal(field: protobuf.Field, raw: unknown): PersonalRule | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined;
  const rule = raw as Raw;
  known(field, rule, 'biz.Personal');
  const blind = text(rule.blind);
  if (blind !== '' && blind !== 'document' && blind !== 'email') throw new Error(`${field.fullName}: unknown blind index "${blind}"`);
  const openTo = list(rule.open_to);
  return {
    ownership: text(rule.ownership) || 'id',
    blind,
    open_to: openTo.length ? openTo : defaultOpenTo,
    purpose: text(rule.purpose),
  };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function list(value: unknown): string[] {
  if (Array.isArray(value)) return value.map(String);
  return typeof value === 'string' ? [value] : [];
}
