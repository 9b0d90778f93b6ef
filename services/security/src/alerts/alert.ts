import { AppError } from '@biz/errors';
import type { Contract } from '@biz/protos';
import {
  defineResource,
  type EntityState,
  type Patch,
  type ResourceModel,
  type Sealable,
  type Stamp,
  type StandardCommand,
} from '@biz/resource';
import type { Severity } from '@biz/security-events';
import type { GroupBy, Kind } from './rules.ts';

/** An alert as it is kept. Times are RFC 3339, UTC. */
export interface AlertState extends EntityState {
  rule_id: string;
  rule_name: string;
  kind: Kind;
  severity: Severity;
  group_by: GroupBy;
  user_id?: string;
  subject?: Sealable<string>;
  count: number;
  threshold: number;
  window_seconds: number;
  first_at: string;
  last_at: string;
  event_ids: string[];
  opened_at: string;
  acknowledged_at?: string;
  acknowledged_by?: string;
  note?: Sealable<string>;
  answered_after_seconds?: number;
}

export type AlertCommand = { kind: 'acknowledge'; by: string; note: string };

export type AlertModel = ResourceModel<AlertState, AlertCommand, undefined>;

export const openedEvent = 'security_alert.opened';

export function defineAlert(contract: Contract): AlertModel {
  return defineResource<AlertState, AlertCommand>({
    contract,
    service: 'biz.security.v1.SecurityAlertService',
    entity: 'SecurityAlert',
    decide: decideAlert,
    companyOf: (_, __, context) => context.company_id,
  });
}

/** What a command makes of an alert: it is opened, and acknowledged once. */
export function decideAlert(
  command: (StandardCommand<AlertState> | AlertCommand) & Stamp,
  state: AlertState | undefined,
): Patch<AlertState> | null {
  switch (command.kind) {
    case 'create':
      return { ...command.fields, opened_at: command.at, status: 'open' };
    case 'acknowledge': {
      if (state?.status !== 'open') throw new AppError('conflict', 'The alert was acknowledged already.');
      const seconds = Math.max(0, Math.round((Date.parse(command.at) - Date.parse(state.opened_at)) / 1000));
      return {
        ...{ status: 'acknowledged', acknowledged_at: command.at, acknowledged_by: command.by, answered_after_seconds: seconds },
        ...(command.note && { note: command.note }),
      };
    }
    default:
      throw new AppError('unimplemented', 'An alert is not changed.');
  }
}
