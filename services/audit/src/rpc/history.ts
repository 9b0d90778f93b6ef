import type { Call, Handler } from '@biz/rpc';
import { type DiffRequest, entityDiff, entityState, type StateRequest } from '../history/state.ts';
import { type FindValuesRequest, findValues } from '../history/values.ts';
import type { RpcParts } from './parts.ts';

/** HistoryService: what entities were. */
export function historyHandlers({ history }: RpcParts): Record<string, Handler> {
  return {
    GetEntityState: (request: StateRequest, call: Call) => entityState(history, request, call),
    GetEntityDiff: (request: DiffRequest, call: Call) => entityDiff(history, request, call),
    FindValues: (request: FindValuesRequest, call: Call) => findValues(history, request, call),
  };
}
