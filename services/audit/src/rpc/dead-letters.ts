import type { Call, Handler } from '@biz/rpc';
import { listDeadLetters, presentDeadLetters } from '../query/dead-letters.ts';
import { openingFor, scopeOf } from '../query/scope.ts';
import type { RpcParts } from './parts.ts';

/** Messages that could not become records. They belong to no company. */
export function deadLetterHandlers({ collections, keyring }: RpcParts): Record<string, Handler> {
  return {
    ListDeadLetters: async (request: { page_size?: number; page_token?: string; code?: string }, { context, deadline }: Call) => {
      if (scopeOf(context) !== 'all') {
        return { items: [], next_page_token: '' };
      }
      const { letters, next_page_token } = await listDeadLetters(collections, request, deadline);
      return { items: await presentDeadLetters(keyring, letters, openingFor(context).payload), next_page_token };
    },
  };
}
