import type { Handler, StreamHandler } from '@biz/rpc';
import { audited } from './reads/audited.ts';
import { completenessHandlers } from './rpc/completeness.ts';
import { deadLetterHandlers } from './rpc/dead-letters.ts';
import { exportHandlers } from './rpc/export.ts';
import { historyHandlers } from './rpc/history.ts';
import { integrityHandlers } from './rpc/integrity.ts';
import { ownershipHandlers } from './rpc/ownerships.ts';
import type { RpcParts } from './rpc/parts.ts';
import { recordHandlers } from './rpc/records.ts';
import { replayHandlers } from './rpc/replay.ts';
import { traceHandlers } from './rpc/traces.ts';
import { verificationHandlers } from './rpc/verifications.ts';

/** The services of the contract that this process offers. */
export const services = [
  'biz.audit.v1.AuditService',
  'biz.audit.v1.OwnershipService',
  'biz.audit.v1.IntegrityService',
  'biz.audit.v1.DeadLetterService',
  'biz.audit.v1.CompletenessService',
  'biz.audit.v1.HistoryService',
  'biz.audit.v1.ReplayService',
  'biz.audit.v1.ExportService',
  'biz.audit.v1.TraceService',
];

/** Request → query → response, one file a group; reads are recorded. Names of methods are unique over all of them. */
export function createHandlers(parts: RpcParts): Record<string, Handler | StreamHandler> {
  return audited(parts.reads, {
    ...recordHandlers(parts),
    ...ownershipHandlers(parts),
    ...deadLetterHandlers(parts),
    ...integrityHandlers(parts),
    ...completenessHandlers(parts),
    ...verificationHandlers(parts),
    ...historyHandlers(parts),
    ...replayHandlers(parts),
    ...exportHandlers(parts),
    ...traceHandlers(parts),
  });
}
