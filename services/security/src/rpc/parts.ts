import type { Outbox } from '@biz/eventstore';
import type { Keyring } from '@biz/sealing';
import type { Counts } from '../counters/counts.ts';
import type { alertsIn } from '../report/alerts.ts';
import type { Storages } from '../storage/storages.ts';
import type { Streaming } from '../stream/open.ts';
import type { AlertParts } from './alerts.ts';

/** What the handlers work with; filled in by the composition root. */
export interface RpcParts extends AlertParts {
  keyring: Keyring;
  storages: Storages;
  /** What other processes hand over on its way to the topic. */
  outbox: Outbox;
  streaming: Streaming;
  counts: Counts;
  alertSummary: ReturnType<typeof alertsIn>;
}
