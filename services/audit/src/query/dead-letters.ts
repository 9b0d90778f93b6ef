import type { Keyring } from '@biz/sealing';
import type { Filter } from 'mongodb';
import type { Collections } from '../collections.ts';
import { sealedFields } from '../ingest/seal.ts';
import type { DeadLetterDocument } from '../ingest/store.ts';
import { bindingOf, DEFAULT_PAGE_SIZE, fetchPage, readToken, writeToken } from './page.ts';

/** One page of dead letters, newest first. */
export async function listDeadLetters(
  collections: Collections,
  request: { page_size?: number; page_token?: string; code?: string; status?: string },
  deadline: Date,
): Promise<{ letters: DeadLetterDocument[]; next_page_token: string }> {
  const binding = bindingOf(['dead-letters', request.code ?? '', request.status ?? '']);
  const filter: Record<string, unknown> = {
    ...(request.code && { code: request.code }),
    ...(request.status && { status: request.status }),
  };
  if (request.page_token) {
    const [time, id] = readToken(request.page_token, binding, ['number', 'string']);
    const at = new Date(time);
    filter.received_at = { $lte: at };
    filter.$or = [{ received_at: { $lt: at } }, { _id: { $lt: id } }];
  }
  const cursor = collections.deadLetters
    .find(filter as Filter<DeadLetterDocument>)
    .sort({ received_at: -1, _id: -1 })
    .hint(request.code ? 'code_time' : request.status ? 'status_time' : 'time');
  const { items, more } = await fetchPage(cursor, request.page_size || DEFAULT_PAGE_SIZE, deadline);
  const last = items.at(-1);
  return { letters: items, next_page_token: more && last ? writeToken([last.received_at.getTime(), last._id], binding) : '' };
}

/** As messages of the contract, the raw bytes opened only when `open`. */
export async function presentDeadLetters(keyring: Keyring, letters: readonly DeadLetterDocument[], open: boolean): Promise<object[]> {
  const sealed = letters.filter(({ raw }) => raw !== null);
  const items = sealed.map(({ raw }) => ({ company_id: null, field: sealedFields.raw, token: raw as string }));
  const opened = open && items.length > 0 ? await keyring.open(items) : [];
  const results = new Map(sealed.map(({ _id }, index) => [_id, opened[index]]));
  return letters.map((letter) => {
    const result = results.get(letter._id);
    const erased = letter.raw !== null && result?.ok === false && result.reason === 'erased';
    return {
      id: letter._id,
      code: letter.code,
      errors: letter.errors,
      topic: letter.topic,
      partition: letter.partition,
      offset: letter.offset,
      received_at: letter.received_at.toISOString(),
      raw_base64: result?.ok ? result.text : '',
      raw_size: letter.raw_size,
      raw_kept: letter.raw_kept,
      status: letter.status,
      ...(letter.replayed && {
        replayed_event_id: letter.replayed.event_id,
        replayed_at: letter.replayed.at.toISOString(),
        replayed_by: letter.replayed.by,
      }),
      sealed_fields: letter.raw !== null && !result?.ok && !erased ? ['raw_base64'] : [],
      erased_fields: erased ? ['raw_base64'] : [],
    };
  });
}
