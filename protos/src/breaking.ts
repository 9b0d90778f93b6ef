import type { Contract, FieldModel, FieldRules, MessageModel, MethodModel, MethodRules, PersonalRule } from './model.ts';
import { defaultMaxItems, defaultMaxLength } from './schema.ts';

/** A promise of an earlier contract that a later one does not keep. */
export type Break = {
  /** What kind, in capitals as buf names its own. */
  readonly rule: string;
  /** The method, or the message and field. */
  readonly element: string;
  readonly message: string;
};

/**
 * What a client, a caller or a reader of events of the earlier contract runs into with the later one, as far as our options and the routes say
 * it: `buf breaking` sees neither. What is gone altogether (a method, a message, a field) and types are left to buf. Personal data that more
 * people would see counts as a break, too.
 */
export function contractBreaks(before: Contract, after: Contract): Break[] {
  const methods = methodsOf(after);
  const broken = [...methodsOf(before)].flatMap(([path, method]) => {
    const now = methods.get(path);
    return now ? methodBreaks(method, now) : [];
  });
  const [had, has] = [messagesOf(before), messagesOf(after)];
  for (const [name, { message, asked }] of had) {
    const now = has.get(name);
    if (now) broken.push(...messageBreaks(message, now.message, asked));
  }
  return broken;
}

function methodsOf({ services }: Contract): Map<string, MethodModel> {
  return new Map(services.flatMap(({ methods }) => methods.map((method) => [method.path, method])));
}

function methodBreaks(before: MethodModel, after: MethodModel): Break[] {
  const found: Break[] = [];
  const add = (rule: string, message: string) => void found.push({ rule, element: before.path, message });
  const [was, is] = [routeOf(before), routeOf(after)];
  if (was !== undefined && was !== is) add('ROUTE_CHANGED', `was ${was}, ${is ? `is ${is}` : 'has no route'}`);
  const lost = before.rules.roles.filter((role) => !after.rules.roles.includes(role));
  if (lost.length > 0) add('ROLE_REMOVED', `${lost.join(', ')} may no longer call it`);
  for (const name of ['any_company', 'any_client'] as const) {
    if (before.rules[name] && !after.rules[name]) add('CALLERS_NARROWED', `${name} is gone`);
  }
  const fixed = { event: 'EVENT_CHANGED', ownership: 'OWNERSHIP_CHANGED', status: 'STATUS_CHANGED', merge_patch: 'BODY_CHANGED' } as const;
  for (const [name, rule] of Object.entries(fixed) as [keyof typeof fixed, string][]) changed(name, rule, before.rules, after.rules, add);
  return found;
}

function changed(
  name: keyof MethodRules,
  rule: string,
  before: MethodRules,
  after: MethodRules,
  add: (rule: string, text: string) => void,
) {
  if (before[name] !== after[name]) add(rule, `${name} was ${JSON.stringify(before[name])}, is ${JSON.stringify(after[name])}`);
}

/** A route as clients see it: what a parameter is called is not part of it. */
function routeOf({ http }: MethodModel): string | undefined {
  return http && `${http.verb} ${http.path.replaceAll(/\{[^}]*\}/g, '{}')}${http.body && ' with a body'}`;
}

type Used = { message: MessageModel /** Whether it is asked for: a request, or part of one. */; asked: boolean };

function messagesOf({ services }: Contract): Map<string, Used> {
  const found = new Map<string, Used>();
  const visit = (message: MessageModel, asked: boolean): void => {
    const known = found.get(message.fullName);
    if (known && (known.asked || !asked)) return;
    found.set(message.fullName, { message, asked });
    for (const { message: inner } of message.fields) if (inner) visit(inner, asked);
  };
  for (const { request, response } of services.flatMap(({ methods }) => methods)) {
    visit(response, false);
    visit(request, true);
  }
  return found;
}

function messageBreaks(before: MessageModel, after: MessageModel, asked: boolean): Break[] {
  return after.fields.flatMap((now) => {
    const element = `${before.fullName}.${now.name}`;
    const was = before.fields.find(({ name }) => name === now.name);
    if (!was) return asked && now.rules.required ? [{ rule: 'REQUIRED_ADDED', element, message: 'is new, and required' }] : [];
    const told = [...personalBreaks(was.rules.personal, now.rules.personal), ...(asked ? ruleBreaks(was, now) : [])];
    if (was.rules.json !== now.rules.json) told.push(['JSON_CHANGED', now.rules.json ? 'is JSON now' : 'is text now']);
    return told.map(([rule, message]) => ({ rule, element, message }));
  });
}

type Told = [rule: string, message: string];

/** Rules of a request's field that let less through than before, or look for it elsewhere. */
function ruleBreaks(was: FieldModel, now: FieldModel): Told[] {
  const told: Told[] = [];
  const [before, after] = [was.rules, now.rules];
  if (!before.required && after.required) told.push(['REQUIRED_ADDED', 'is required now']);
  if (before.nullable && !after.nullable) told.push(['NULLABLE_REMOVED', 'cannot be cleared any more']);
  if (!before.output_only && after.output_only) told.push(['OUTPUT_ONLY_ADDED', 'is not taken in a request any more']);
  if (before.header !== after.header) told.push(['HEADER_CHANGED', `came from ${placeOf(before)}, comes from ${placeOf(after)}`]);
  if (before.pattern !== after.pattern && after.pattern) told.push(['PATTERN_CHANGED', `the pattern is ${after.pattern} now`]);
  if (before.format !== after.format && after.format) told.push(['FORMAT_CHANGED', `the format is ${after.format} now`]);
  const gone = before.in.filter((value) => !after.in.includes(value));
  if (after.in.length > 0 && (before.in.length === 0 || gone.length > 0)) {
    told.push(['VALUE_REMOVED', before.in.length === 0 ? 'has a closed list of values now' : `${gone.join(', ')} is refused now`]);
  }
  for (const [name, least] of limitsOf(was, now)) told.push(['LIMIT_NARROWED', `${name} is ${least} now`]);
  return told;
}

function placeOf({ header }: FieldRules): string {
  return header ? `the header ${header}` : 'path, query or body';
}

function limitsOf(was: FieldModel, now: FieldModel): [name: string, value: number][] {
  const length = ({ rules, repeated, map }: FieldModel) => rules.max_len || (repeated || map ? defaultMaxItems : defaultMaxLength);
  const narrowed: [string, number][] = [];
  if (length(now) < length(was)) narrowed.push(['max_len', length(now)]);
  if (now.rules.min_len > was.rules.min_len) narrowed.push(['min_len', now.rules.min_len]);
  if ((now.rules.max ?? Number.POSITIVE_INFINITY) < (was.rules.max ?? Number.POSITIVE_INFINITY)) narrowed.push(['max', now.rules.max ?? 0]);
  if ((now.rules.min ?? Number.NEGATIVE_INFINITY) > (was.rules.min ?? Number.NEGATIVE_INFINITY)) narrowed.push(['min', now.rules.min ?? 0]);
  return narrowed;
}

/** Personal data in clear, or seen by more than before, is a leak; sealed otherwise than before, it is not found or not opened. */
function personalBreaks(before: PersonalRule | undefined, after: PersonalRule | undefined): Told[] {
  if (!before && !after) return [];
  if (!after) return [['PERSONAL_REMOVED', 'was personal data: from now on it would be stored and published in clear']];
  if (!before) return [['PERSONAL_ADDED', 'is personal data now: what is stored stays in clear, and some who saw it do not']];
  const told: Told[] = [];
  const more = after.open_to.filter((role) => !before.open_to.includes(role));
  const fewer = before.open_to.filter((role) => !after.open_to.includes(role));
  if (more.length > 0) told.push(['OPEN_TO_WIDENED', `${more.join(', ')} would see it opened`]);
  if (fewer.length > 0) told.push(['OPEN_TO_NARROWED', `${fewer.join(', ')} would no longer see it`]);
  if (before.ownership !== after.ownership) told.push(['OWNERSHIP_CHANGED', `was of ${before.ownership}, is of ${after.ownership}`]);
  if (before.blind !== after.blind) told.push(['BLIND_INDEX_CHANGED', `was ${before.blind || 'none'}, is ${after.blind || 'none'}`]);
  return told;
}
