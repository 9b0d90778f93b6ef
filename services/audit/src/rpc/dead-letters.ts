import { AppError } from '@biz/errors';
import type { Call, Handler } from '@biz/rpc';
import type { DeadLetterDocument } from '../ingest/store.ts';
import { replayLetter } from '../letters/replay.ts';
import { listDeadLetters, presentDeadLetters } from '../query/dead-letters.ts';
import { openingFor, scopeOf } from '../query/scope.ts';
import type { RpcParts } from './parts.ts';

/** DeadLetterService: messages that could not become records. They belong to no company. */
export function deadLetterHandlers({ collections, keyring, letters: parts, pages }: RpcParts): Record<string, Handler> {
  const present = async (letter: DeadLetterDocument, { context }: Call): Promise<object> => {
    const [message = {}] = await presentDeadLetters(keyring, [letter], openingFor(context).payload);
    return message;
  };
  const found = async (id: string, { context }: Call): Promise<DeadLetterDocument> => {
    const letter = scopeOf(context) === 'all' ? await collections.deadLetters.findOne({ _id: id }) : null;
    if (letter === null) throw new AppError('not_found', 'There is no such dead letter.');
    return letter;
  };
  return {
    ListDeadLetters: async (request: ListDeadLettersRequest, { context, deadline, signal }: Call) => {
      if (scopeOf(context) !== 'all') {
        return { items: [], next_page_token: '' };
      }
      return pages(signal, async () => {
        const { letters, next_page_token } = await listDeadLetters(collections, request, deadline);
        return { items: await presentDeadLetters(keyring, letters, openingFor(context).payload), next_page_token };
      });
    },
    GetDeadLetter: async ({ id }: { id: string }, call: Call) => present(await found(id, call), call),
    ReplayDeadLetter: async ({ id, envelope }: { id: string; envelope?: string }, call: Call) =>
      present(await replayLetter(parts, await found(id, call), envelope || undefined, call.context), call),
  };
}

interface ListDeadLettersRequest {
  page_size?: number;
  page_token?: string;
  code?: string;
  status?: string;
}
