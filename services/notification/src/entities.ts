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

/** Lookups of what waits, by the time of its next attempt: one for each channel, so that a slow one holds up no other. */
export const dueLookups = { email: 'due_at', webhook: 'webhook_due_at' } as const;
export type Channel = keyof typeof dueLookups;

/** The same for the event store. Besides the list's filters, what waits is found by when it is due. */
export function storeModel({ entityType, rules, filters }: NotificationModel) {
  const withDue: EntityRules = {
    ...rules,
    keys: (entity) => {
      const { next_attempt_at: due, channel } = entity.state as { next_attempt_at?: string; channel?: string };
      const lookup = channel === 'webhook' ? dueLookups.webhook : dueLookups.email;
      return { ...rules.keys?.(entity), ...(entity.status === 'queued' && due && { [lookup]: due }) };
    },
  };
  return { entityType, rules: withDue, filters: [...filters, ...Object.values(dueLookups)] };
}

/** Roles that see every notification of the company; others see those addressed to themselves. */
const overseers = ['admin', 'manager', 'auditor', 'dpo'];

export function seesAll({ actor, roles, clients }: CallContext): boolean {
  return actor.type === 'service' || (clients.length === 0 && roles.some((role) => overseers.includes(role)));
}
