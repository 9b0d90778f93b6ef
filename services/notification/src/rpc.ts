import { AppError } from '@biz/errors';
import type { Resource } from '@biz/resource';
import type { Call, CallContext, Handler } from '@biz/rpc';
import { seesAll } from './entities.ts';
import type { NotificationCommand, NotificationState } from './notification.ts';
import { webhookSecret } from './webhook/sender.ts';

/** Named by `open_to` in the proto: somebody to whom a notification is addressed. No token ever holds it. */
const recipientRole = 'recipient';

export function createHandlers(
  notifications: Resource<NotificationState, NotificationCommand>,
  webhooks: { key: Buffer | undefined; fault: (url: string) => string | undefined },
): Record<string, Handler> {
  const { GetNotification, ListNotifications } = notifications.handlers as Record<'GetNotification' | 'ListNotifications', Handler>;
  return {
    ...notifications.handlers,
    GetNotification: (request, call) => GetNotification(request, asRecipient(call)),
    ListNotifications: (request, call) => ListNotifications(request, asRecipient(call)),
    async RevealWebhookSecret({ to }: { to: string }, { context }) {
      const message = webhooks.fault(to);
      if (webhooks.key === undefined || message !== undefined) {
        const faults = [{ path: '/to', message: message ?? '' }];
        throw new AppError('invalid_request', 'The request does not fit the contract.', { faults });
      }
      return { secret: webhookSecret(webhooks.key, context.company_id, to) };
    },
    RetryNotification: notifications.handler('RetryNotification', () => ({ kind: 'retry' })),
  };
}

/** Who sees nothing but what is addressed to them (see `visibleTo`) sees that opened. */
function asRecipient(call: Call): Call {
  const { context } = call;
  if (seesAll(context)) return call;
  const opening: CallContext = { ...context, roles: [...context.roles, recipientRole] };
  return { ...call, context: opening };
}
