import { AppError } from '@biz/errors';
import { canonicalJson, type JsonObject, type JsonValue } from '@biz/json';

/** What every entity's state has; the rest is the service's own. */
export interface EntityState {
  id: string;
  /** `active`, `disabled`, or what the service adds; `deleted` is the end. */
  status: string;
}

/** What a personal field holds for a decision that did not ask to have it opened. */
export type Sealable<Value> = Value | { sealed: string };

/** RFC 7396 merge patch of a state: absent stays, null clears. */
export type Patch<State> = { [Key in keyof State]?: PatchOf<State[Key]> | null | undefined };
type PatchOf<Value> = Value extends readonly unknown[] ? Value : Value extends object ? Patch<Value> : Value;

/** The commands that every resource knows. */
export type StandardCommand<State extends EntityState> =
  | { kind: 'create'; fields: Omit<State, keyof EntityState> }
  | { kind: 'update'; patch: Patch<Omit<State, keyof EntityState>> }
  | { kind: 'disable' }
  | { kind: 'enable' }
  | { kind: 'delete' };

/** What arrives with every command. */
export interface Stamp {
  id: string;
  /** RFC 3339, UTC. */
  at: string;
}

/** A decision that is another event than the method's, for example one that already ends what it begins. */
export class Decided<State> {
  readonly event: string;
  readonly patch: Patch<State>;

  constructor(event: string, patch: Patch<State>) {
    this.event = event;
    this.patch = patch;
  }
}

/**
 * Pure: what a command changes in an entity, or null when nothing. Throws AppError when a rule refuses it. `state` is
 * undefined for `create` alone; `facts` are what the service's `prepare` gathered.
 */
export type Decide<State extends EntityState, Extra, Facts> = (
  command: (StandardCommand<State> | Extra) & Stamp,
  state: State | undefined,
  facts: Facts,
) => Patch<State> | Decided<State> | null;

/**
 * What the standard commands change when nothing speaks against it: a service's `decide` checks its own rules first and
 * ends here. Disabling the disabled, enabling the enabled and setting what is set change nothing.
 */
export function standardDecision<State extends EntityState>(
  command: StandardCommand<State>,
  state: State | undefined,
): Patch<State> | null {
  switch (command.kind) {
    case 'create':
      return { ...command.fields, status: 'active' } as Patch<State>;
    case 'update':
      return changed(command.patch as JsonObject, state as unknown as JsonObject) as Patch<State> | null;
    case 'disable':
      return state?.status === 'disabled' ? null : status('disabled');
    case 'enable':
      return state?.status === 'active' ? null : status('active');
    case 'delete':
      return status('deleted');
    default:
      return neverCommand(command);
  }
}

/** Closes a switch over commands: the compiler says when one is missing. */
export function neverCommand(command: never): never {
  throw new AppError('unimplemented', `There is no command ${String((command as { kind?: unknown }).kind)}.`);
}

function status<State extends EntityState>(value: string): Patch<State> {
  return { status: value } as Patch<State>;
}

/** The part of a patch that makes a difference; null when none does. */
function changed(patch: JsonObject, state: JsonObject): JsonObject | null {
  const entries = Object.entries(withoutUndefined(patch)).filter(([name, value]) => !same(value, state[name]));
  return entries.length > 0 ? Object.fromEntries(entries) : null;
}

function same(value: JsonValue, present: JsonValue | undefined): boolean {
  return present === undefined ? value === null : canonicalJson(value) === canonicalJson(present);
}

/** A patch as data: what is undefined is absent. */
export function withoutUndefined(patch: object): JsonObject {
  return Object.fromEntries(Object.entries(patch).filter(([, value]) => value !== undefined)) as JsonObject;
}
