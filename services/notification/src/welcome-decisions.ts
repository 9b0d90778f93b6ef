import { isDuplicateKey } from '@biz/eventstore';
import type { FlagKey, Flags } from '@biz/flags';
import type { Collection, Db } from 'mongodb';

/** What was decided for a new user, by the id of the event that told of it. */
interface Decision {
  readonly _id: string;
  readonly welcomed: boolean;
  readonly flag: FlagKey;
  readonly variant: string | null;
  /** OpenFeature's reason. */
  readonly reason: string;
  readonly company_id: string | null;
  readonly decided_at: Date;
  /** When the event is too old to be welcomed anyway. */
  readonly expires_at: Date;
}

export interface WelcomeDecisions {
  /** Whether the user that an event tells of is to be welcomed. Durable, and the same however often the event comes and whatever the flag says by then. */
  decide(event: { readonly event_id: string; readonly company_id: string | null }): Promise<boolean>;
}

export interface DecisionOptions {
  readonly db: Db;
  readonly flags: Pick<Flags, 'ask'>;
  /** How long a decision can matter, in milliseconds: as long as an event may be welcomed. */
  readonly keepMs: number;
  readonly log: { info(details: object, message: string): void };
}

const FLAG = 'notification.welcome_email' satisfies FlagKey;
/** Clocks of producers differ from ours. */
const MARGIN_MS = 3_600_000;

/** Asks the flag once for each event, and keeps the answer: one who was not welcomed is not welcomed later, when the flag is on again and the event comes again. */
export async function welcomeDecisions({ db, flags, keepMs, log }: DecisionOptions): Promise<WelcomeDecisions> {
  const decisions = db.collection<Decision>('welcome_decisions');
  await decisions.createIndex({ expires_at: 1 }, { expireAfterSeconds: 0 });
  return {
    async decide({ event_id, company_id }) {
      const kept = await decisions.findOne({ _id: event_id });
      if (kept) return kept.welcomed;
      const { on, variant = null, reason } = await flags.ask(FLAG, { company_id });
      const now = Date.now();
      const times = { decided_at: new Date(now), expires_at: new Date(now + keepMs + MARGIN_MS) };
      const { welcomed } = await keep(decisions, { _id: event_id, welcomed: on, flag: FLAG, variant, reason, company_id, ...times });
      if (!welcomed) log.info({ event_id, company_id, flag: FLAG, variant, reason }, 'a new user is not welcomed: the flag says so');
      return welcomed;
    },
  };
}

/** The first of two that decide at once is right. */
async function keep(decisions: Collection<Decision>, decision: Decision): Promise<Decision> {
  try {
    await decisions.insertOne(decision);
    return decision;
  } catch (error) {
    if (!isDuplicateKey(error)) throw error;
    return (await decisions.findOne({ _id: decision._id })) ?? decision;
  }
}
