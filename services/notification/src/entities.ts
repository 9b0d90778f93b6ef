import type { EntityRules } from '@biz/eventstore';
import type { Contract } from '@biz/protos';
import { defineResource, type ResourceModel } from '@biz/resource';
import type { CallContext } from '@biz/rpc';
import { decideNotification, type NotificationCommand, type NotificationFacts, type NotificationState } from './notification.ts';

export type NotificationModel = ResourceModel<NotificationState, NotificationCommand, NotificationFacts>;

export function defineNotification(contract: Contract): NotificationModel {
  return defineResource<NotificationState, NotificationCommand, NotificationFacts>({
    contract,
    service: 'biz.notification.v1.NotificationService',
    entity: 'Notification',
    decide: decideNotification,
    companyOf: (_, __, context) => context.company_id,
    visibleTo: (context) => (seesAll(context) ? undefined : { recipient_id: context.actor.id }),
    present: (state) => ({ ...state, ...(state.channel === 'in_app' && { to: state.recipient_id }) }),
  });
}

/** Lookup of what waits, by the time of its next attempt. */
export const dueLookup = 'due_at';

/** The same for the event store. Besides the list's filters, what waits is found by when it is due. */
export function storeModel({ entityType, rules, filters }: NotificationModel) {
  const withDue: EntityRules = {
    ...rules,
    keys: (entity) => {
      const { next_attempt_at: due } = entity.state as { next_attempt_at?: string };
      return { ...rules.keys?.(entity), ...(entity.status === 'queued' && due && { [dueLookup]: due }) };
    },
  };
  return { entityType, rules: withDue, filters: [...filters, dueLookup] };
}

/** Roles that see every notification of the company; others see those addressed to themselves. */
const overseers = ['admin', 'manager', 'auditor', 'dpo'];

export function seesAll({ actor, roles }: CallContext): boolean {
  return actor.type === 'service' || roles.some((role) => overseers.includes(role));
}
