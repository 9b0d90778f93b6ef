import type { EventStore } from '@biz/eventstore';
import type { Contract, MessageModel } from '@biz/protos';
import type { StreamConfig } from './config.ts';
import { type Entries, openEntries } from './entries.ts';
import { createHub, type Hub, type HubOptions } from './hub.ts';
import { createOpenings, type Openings } from './openings.ts';

/** What streams of this process share. */
export interface Streaming extends AsyncDisposable {
  readonly entries: Entries;
  readonly hub: Hub;
  readonly openings: Openings;
  /** The messages that are the data of events. */
  readonly model: MessageModel;
  readonly alertModel: MessageModel;
  readonly config: StreamConfig;
}

/** Makes the indexes of the stream; nothing is asked of the database before somebody follows. */
export async function openStreaming(
  store: Pick<EventStore, 'db' | 'current'>,
  config: StreamConfig,
  contract: Contract,
  log: HubOptions['log'],
): Promise<Streaming> {
  const entries = await openEntries(store, config.STREAM_KEEP_HOURS);
  const hub = createHub({ entries, pollMs: config.STREAM_POLL_MS, kept: config.STREAM_KEPT_EVENTS, log });
  const openings = createOpenings({ perSubject: config.STREAMS_PER_SUBJECT, all: config.STREAMS_MAX });
  return {
    ...{ entries, hub, openings, config },
    model: itemOf(contract, 'SecurityEventService', 'ListSecurityEvents'),
    alertModel: itemOf(contract, 'SecurityAlertService', 'ListSecurityAlerts'),
    [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose](),
  };
}

/** The message that a list gives. */
function itemOf(contract: Contract, service: string, method: string): MessageModel {
  const list = contract.service(`biz.security.v1.${service}`).methods.find(({ name }) => name === method);
  const model = list?.response.fields.find(({ name }) => name === 'items')?.message;
  if (!model) throw new Error(`The contract has no list ${service}/${method}.`);
  return model;
}
