import { type EventDocument, ownEventDocument } from '@biz/eventstore';
import { serviceContext } from '@biz/rpc';
import { traceContext } from '@biz/service';
import type { Db } from 'mongodb';
import type { About } from './about.ts';
import type { RestoreResult } from './restore.ts';
import type { Statement } from './set-aside.ts';

/**
 * A restore is itself audited: an event in the audit's own outbox, which becomes a record as soon as the audit runs. It tells up to where each
 * log was restored, and what was set aside.
 */
export async function tellOfRestore(
  db: Db,
  restore: { result: RestoreResult; about: About; backup: string; environment: string; statement: Statement | undefined },
): Promise<void> {
  const { result, about, backup, environment, statement } = restore;
  const event = ownEventDocument(
    {
      type: 'audit_restore.completed',
      entity_type: 'audit_restore',
      entity_id: result.id,
      action_type: 'new',
      company_id: null,
      data: {
        backup,
        cut_at: about.cut_at,
        databases: result.databases,
        logs: about.logs.map(({ log_id, size, root }) => ({ log_id, size, root })),
        keys: result.keys,
        keys_erased_again: result.erasedAgain,
        ...(statement && { set_aside: { ...statement } }),
      },
      context: serviceContext('audit', traceContext()),
    },
    environment,
  );
  await db.collection<EventDocument>('events').insertOne(event, { writeConcern: { w: 'majority', journal: true } });
}
