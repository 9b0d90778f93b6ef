export type { BlindKind } from './blind.ts';
export { type DataKeyDocument, keyId } from './data-keys.ts';
export { sealUnlessErased } from './erasable.ts';
export {
  isSealedValue,
  type OpenedFields,
  type OpenTarget,
  openFields,
  type SealedValue,
  type SealTarget,
  sealFields,
  sealFieldsUnlessErased,
} from './fields.ts';
export { type Kek, readKek } from './kek.ts';
export { type BlindItem, createKeyring, ErasedError, type Keyring, type Opened, type OpenItem, type SealItem } from './keyring.ts';
export { type Binding, parseToken, unwrapKey } from './token.ts';
