import { createHash } from 'node:crypto';
import { type Outbox, type OwnEvent, startWorker, type Worker } from '@biz/eventstore';
import { serviceContext } from '@biz/rpc';
import { idAt, traceContext } from '@biz/service';
import type { Db } from 'mongodb';
import type { Collections } from '../collections.ts';
import { type FindingDocument, presentFinding } from './finding.ts';

export interface TellParts {
  db: Db;
  collections: Collections;
  outbox: Pick<Outbox, 'append'>;
  log: {
    error(fields: object, message: string): void;
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
  /** How often it is looked for findings to tell of, in ms. */
  pollMs?: number;
}

const CHUNK = 100;

/** Tells of findings: a log line that alerts, and an event of the audit's own, one when it is opened and one when it is closed. */
export function startTelling(parts: TellParts): Worker {
  const { db, log, pollMs = 1_000 } = parts;
  return startWorker({ db, lease: 'findings', pollMs, log, work: () => tellFindings(parts) });
}

/**
 * Tells of some; true when there may be more. Events are durable before the finding is marked; told again after a crash in between, they have
 * the same ids, so that nothing is there twice.
 */
export async function tellFindings({ collections: { findings }, outbox, log }: TellParts): Promise<boolean> {
  const untold = await findings.find({ untold: true }).sort({ untold: 1, _id: 1 }).limit(CHUNK).toArray();
  if (untold.length === 0) return false;
  await outbox.append(untold.flatMap(eventsOf));
  for (const finding of untold) {
    const fields = { finding: presentFinding(finding) };
    if (finding.status === 'open') log.error(fields, `ALERT the audit is not complete: ${finding.kind}`);
    else log.info(fields, `a finding is closed: ${finding.kind}`);
  }
  const mark = (status: FindingDocument['status'], told: 1 | 2) => {
    const ids = untold.filter((finding) => finding.status === status).map(({ _id }) => _id);
    // One that was closed meanwhile has more to tell, and stays.
    return ids.length > 0 && findings.updateMany({ _id: { $in: ids }, status }, { $set: { told, untold: false } });
  };
  await mark('open', 1);
  await mark('closed', 2);
  return true;
}

/** What is not told yet; its opening too when it was closed before that was told. */
function eventsOf(finding: FindingDocument): OwnEvent[] {
  const told = finding.told ?? 0;
  const opened = told < 1 ? [eventOf(finding, 'opened')] : [];
  return finding.status === 'closed' ? [...opened, eventOf(finding, 'closed')] : opened;
}

function eventOf(finding: FindingDocument, verb: 'opened' | 'closed'): OwnEvent {
  const { _id, company_id, found_at, closed_at } = finding;
  // The closing comes after the opening also by its id, since the relay sends in order of ids, whatever clock they were made by.
  const time = verb === 'opened' ? found_at.getTime() : Math.max(closed_at?.getTime() ?? 0, found_at.getTime() + 1);
  return {
    event_id: idAt(new Date(time), `${_id}/${verb}`),
    type: `audit_finding.${verb}`,
    entity_type: 'audit_finding',
    entity_id: entityIdOf(_id),
    version: verb === 'opened' ? 1 : 2,
    action_type: verb === 'opened' ? 'new' : 'disable',
    company_id,
    data: presentFinding(finding),
    context: serviceContext('audit', traceContext()),
  };
}

/** The finding's id, or a hash of one that a foreign topic's name made long. */
function entityIdOf(id: string): string {
  return id.length <= 200 ? id : createHash('sha256').update(id).digest('hex');
}
