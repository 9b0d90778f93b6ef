export { type Break, contractBreaks } from './breaking.ts';
export { loadContract, protoRoot } from './contract.ts';
export { addFormats, isCnpj, isCpf } from './formats.ts';
export {
  type Contract,
  type FieldModel,
  type FieldRules,
  type HttpBinding,
  type MessageModel,
  type MethodModel,
  type MethodRules,
  type PersonalField,
  type PersonalRule,
  personalFields,
  type ServiceModel,
} from './model.ts';
export { renderJson } from './render.ts';
export { defaultMaxItems, defaultMaxLength, httpSchemas, isSealList, type JsonSchema, jsonSchema, type SchemaUse } from './schema.ts';
export { createAjv, faultsOf, maxFaults, requestFaults } from './validate.ts';
