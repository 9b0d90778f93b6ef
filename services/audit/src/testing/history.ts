import { AppError } from '@biz/errors';
import { until } from '@biz/testing';
import { type AuditHarness, auditHarness, contextOf, envelope } from './harness.ts';

export interface State {
  version: number;
  is_active?: boolean;
  deleted?: boolean;
  as_of: string;
  state: string;
  record_id: string;
  action_type: string;
  action_at: string;
  unknown?: { sealed_versions?: number[]; sealed?: number; erased_versions?: number[]; erased?: number; missing?: number };
  clock_conflict?: boolean;
  company_id?: string;
}
export interface Diff {
  from?: number;
  to: number;
  changes?: { op: string; path: string; before?: string; after?: string }[];
  unknown?: State['unknown'];
}
export interface Found {
  items?: { record_id: string; entity_id: string; version: number; value: string }[];
  next_page_token?: string;
  searched?: number;
  unreadable?: number;
}

export const auditorA = contextOf(['auditor'], ['company-a']);
export const dpoA = contextOf(['dpo'], ['company-a']);
export const dpoB = contextOf(['dpo'], ['company-b']);
export const platform = contextOf(['auditor', 'dpo'], ['*']);
export const at = (minute: number) => new Date(Date.UTC(2026, 10, 20, 9, minute)).toISOString();
export const name = (entity_id: string, entity_type = 'card') => ({ entity_type, entity_id });

export type Verb = [verb: string, payload: string, minute?: number];

/** An audit with small limits, and what tests of histories ask of it. */
export async function historyHarness() {
  await using stack = new AsyncDisposableStack();
  const audit: AuditHarness = stack.use(await auditHarness());
  const limits = { FIND_VALUES_RECORDS: '7', HISTORY_BATCH: '3', HISTORY_ANSWER_BYTES: '20000' };
  const call = audit.client((await audit.start({}, limits)).address);
  const opened = stack.move();
  return {
    audit,
    call,
    /** Sends messages and waits until they are records; reads are events on the same topic, in between. */
    async record(messages: Parameters<AuditHarness['send']>[0]): Promise<void> {
      const last = (await audit.send(messages)).at(-1)?.offset ?? -1;
      await until(
        async () => {
          const log = await audit.collections.logs.findOne({ _id: `${audit.topic}-0` });
          // Heads may be behind the log while more comes.
          return log !== null && log.next_offset > last && log.applied === log.size;
        },
        { what: 'the records' },
      );
    },
    stateOf: (entity_id: string, more: object = {}, who = dpoA) => call<State>('GetEntityState', { ...name(entity_id), ...more }, who),
    diffOf: (entity_id: string, more: object = {}, who = dpoA) => call<Diff>('GetEntityDiff', { ...name(entity_id), ...more }, who),
    find: (request: object, who = dpoA) => call<Found>('FindValues', request, who),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

export type HistoryHarness = Awaited<ReturnType<typeof historyHarness>>;

/** Records of a producer that seals nothing: verbs and payloads (as JSON text), a minute between them. */
export function card(id: string, parts: readonly Verb[], metadata: Record<string, unknown> = {}) {
  return parts.map(([verb, payload, minute], index) => {
    const timestamp = at(minute ?? index);
    const text = JSON.stringify(
      envelope({
        event_type: `card.${verb}`,
        timestamp,
        payload: { p: 0 },
        metadata: { company_id: 'company-a', entity_id: id, ...metadata },
      }),
    );
    return { value: text.replace('{"p":0}', payload) };
  });
}

export async function refusal(run: Promise<unknown>): Promise<{ code: string; paths: string[] }> {
  const error = await run.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AppError)) throw new Error('not refused', { cause: error });
  return { code: error.code, paths: error.faults.map(({ path }) => path) };
}
