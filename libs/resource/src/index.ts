export { companiesOf, isVisible, notFound } from './access.ts';
export type { Asked, Change } from './change.ts';
export {
  type Decide,
  Decided,
  type EntityState,
  neverCommand,
  type Patch,
  type Sealable,
  type Stamp,
  type StandardCommand,
  standardDecision,
} from './commands.ts';
export { defineResource, type ResourceDefinition, type ResourceModel, type UniqueField } from './definition.ts';
export { type Foundation, type FoundationConfig, openFoundation } from './foundation.ts';
export { type RebuildSubject, runRebuild } from './rebuild/command.ts';
export { assertReference, newValue, type Reference, resolveReference } from './reference.ts';
export { createResource, type Resource, type ResourceOptions } from './resource.ts';
export { openStore, type StoreModels } from './store.ts';
