import type { Handler, StreamHandler } from '@biz/rpc';
import { alertHandlers } from './rpc/alerts.ts';
import { eventHandlers } from './rpc/events.ts';
import type { RpcParts } from './rpc/parts.ts';
import { recordingHandlers } from './rpc/recording.ts';
import { reportHandlers } from './rpc/reports.ts';
import { streamHandlers } from './rpc/stream.ts';

/** The services of the contract that this process offers. */
export const services = [
  'biz.security.v1.SecurityEventService',
  'biz.security.v1.RecordingService',
  'biz.security.v1.StreamService',
  'biz.security.v1.ReportService',
  'biz.security.v1.SecurityRuleService',
  'biz.security.v1.SecurityAlertService',
];

/** Request → query → response, one file a group. Names of methods are unique over all of them. */
export function createHandlers(parts: RpcParts): Record<string, Handler | StreamHandler> {
  return {
    ...eventHandlers(parts),
    ...recordingHandlers(parts),
    ...streamHandlers(parts),
    ...reportHandlers(parts),
    ...alertHandlers(parts),
  };
}
