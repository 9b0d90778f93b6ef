import { type MessageModel, type MethodModel, personalFields } from '@biz/protos';

/**
 * The roles to which a read opens personal data, by the fields of its answer; empty for changes, and for what has none. Read from the contract, so
 * that no method can be forgotten.
 */
export function openingRoles(method: MethodModel): ReadonlySet<string> {
  return new Set(method.http?.verb === 'get' ? rolesOf(method.response, new Set()) : []);
}

function rolesOf(message: MessageModel, seen: Set<MessageModel>): string[] {
  if (seen.has(message)) return [];
  seen.add(message);
  const own = personalFields(message).flatMap(({ open_to }) => open_to);
  return [...own, ...message.fields.flatMap((field) => (field.message ? rolesOf(field.message, seen) : []))];
}
