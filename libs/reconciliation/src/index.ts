export { createReconciliationClient, type ReconciliationClient } from './client.ts';
export { type ReconciliationSource, reconciliationHandlers } from './handlers.ts';
export {
  type EntityEvent,
  type Head,
  type HeadBatch,
  MOST_EVENTS,
  MOST_IDS,
  reconciliationService,
  type StoreDescription,
} from './messages.ts';
