import type { Contract, MessageModel } from '@biz/protos';
import type { Db } from 'mongodb';
import type { StreamConfig } from './config.ts';
import { type Entries, openEntries } from './entries.ts';
import { createHub, type Hub, type HubOptions } from './hub.ts';
import { createOpenings, type Openings } from './openings.ts';

/** What streams of this process share. */
export interface Streaming extends AsyncDisposable {
  readonly entries: Entries;
  readonly hub: Hub;
  readonly openings: Openings;
  /** The message that is the data of an event. */
  readonly model: MessageModel;
  readonly config: StreamConfig;
}

/** Makes the indexes of the stream; nothing is asked of the database before somebody follows. */
export async function openStreaming(db: Db, config: StreamConfig, contract: Contract, log: HubOptions['log']): Promise<Streaming> {
  const entries = await openEntries(db, config.STREAM_KEEP_HOURS);
  const hub = createHub({ entries, pollMs: config.STREAM_POLL_MS, kept: config.STREAM_KEPT_EVENTS, log });
  const openings = createOpenings({ perSubject: config.STREAMS_PER_SUBJECT, all: config.STREAMS_MAX });
  return { entries, hub, openings, model: eventModel(contract), config, [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose]() };
}

function eventModel(contract: Contract): MessageModel {
  const list = contract.service('biz.security.v1.SecurityEventService').methods.find(({ name }) => name === 'ListSecurityEvents');
  const model = list?.response.fields.find(({ name }) => name === 'items')?.message;
  if (!model) throw new Error('The contract does not say what a security event is.');
  return model;
}
