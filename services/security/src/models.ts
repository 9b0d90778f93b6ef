import type { Contract } from '@biz/protos';
import type { StoreModels } from '@biz/resource';

/** The kinds of entities in this service's event store. */
export function securityModels(_contract: Contract): StoreModels {
  return [];
}
