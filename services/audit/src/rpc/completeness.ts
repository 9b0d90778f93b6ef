import type { Call, Handler } from '@biz/rpc';
import { presentFinding } from '../completeness/finding.ts';
import { type ListRequest, listFindings } from '../completeness/findings.ts';
import { scopeOf } from '../query/scope.ts';
import type { RpcParts } from './parts.ts';

/** What the audit lacks, or has too much. */
export function completenessHandlers({ collections }: Pick<RpcParts, 'collections'>): Record<string, Handler> {
  return {
    ListFindings: async (request: ListRequest, { context, deadline }: Call) => {
      const { findings, next_page_token } = await listFindings(collections, scopeOf(context), request, deadline);
      return { items: findings.map(presentFinding), next_page_token };
    },
  };
}
