import { AppError } from '@biz/errors';
import type { Resource } from '@biz/resource';
import type { Handler } from '@biz/rpc';
import type { AlertCommand, AlertState } from '../alerts/alert.ts';
import type { RuleState } from '../alerts/rule.ts';

export interface AlertParts {
  rules: Resource<RuleState, never>;
  alerts: Resource<AlertState, AlertCommand>;
}

/** SecurityRuleService and SecurityAlertService. */
export function alertHandlers({ rules, alerts }: AlertParts): Record<string, Handler> {
  return {
    ...rules.handlers,
    ...alerts.handlers,
    AcknowledgeSecurityAlert: alerts.handler('AcknowledgeSecurityAlert', ({ note = '' }: { note?: string }, { context: { actor } }) => {
      if (actor.type !== 'user') throw new AppError('no_role', 'An alert is acknowledged by a person.');
      return { kind: 'acknowledge', by: actor.id, note };
    }),
  };
}
