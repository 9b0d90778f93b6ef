import type { MethodModel } from '@biz/protos';

/** GET methods that show no record of anybody: hashes, sizes, signatures, how a check goes and how a request ran, which are there to be looked at. */
const unaudited: ReadonlySet<string> = new Set([
  'ListLogs',
  'GetCheckpoint',
  'GetConsistencyProof',
  'GetRecordProof',
  'GetVerificationKey',
  'GetVerification',
  'GetTrace',
]);

/** Fields of requests that hold personal values. That they were given is recorded, their value never. */
const personal: Readonly<Record<string, readonly string[]>> = {
  LookupOwnership: ['document', 'email'],
  FindValues: ['value'],
};

/**
 * Whether a call of the method is a read that is recorded. Whatever is not named above is, so that a new method is recorded
 * until somebody decides otherwise; methods that change something have events of their own.
 */
export function isRead(method: MethodModel): boolean {
  const verb = method.http?.verb ?? 'get';
  return verb === 'get' && !unaudited.has(method.name);
}

/** Whether a field of the method's request holds a personal value. */
export function isPersonal(method: MethodModel, field: string): boolean {
  const rules = method.request.fields.find(({ name }) => name === field)?.rules;
  return rules?.personal !== undefined || personal[method.name]?.includes(field) === true;
}
