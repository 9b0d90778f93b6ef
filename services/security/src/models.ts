import type { Contract } from '@biz/protos';
import type { StoreModels } from '@biz/resource';
import { alertModels } from './alerts/alerts.ts';

/** The kinds of entities in this service's event store. */
export function securityModels(contract: Contract): StoreModels {
  return alertModels(contract);
}
