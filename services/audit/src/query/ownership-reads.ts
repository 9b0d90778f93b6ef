import { parseJson } from '@biz/json';
import { PageRoom } from '@biz/service';
import type { Collections } from '../collections.ts';
import { indexKey } from '../keys.ts';
import type { RecordDocument } from '../record.ts';
import { DEFAULT_PAGE_SIZE } from './page.ts';
import { listRecords, type PageRequest } from './records.ts';
import type { Scope } from './scope.ts';

export type OwnershipReadsRequest = PageRequest & { ownership_id: string; from?: string; to?: string };

export interface OwnershipReads {
  records: RecordDocument[];
  next_page_token: string;
  /** Reads looked at for this page. */
  searched: number;
}

/** Reads looked at in one query. */
const READ_AT_ONCE = 200;

/**
 * A page of the reads that showed data of an ownership, newest first: those that list its id, and those that showed so many ids that
 * not all are listed (exports). At most `searched` reads are looked at; the page may then be short, and still have a next one.
 */
export async function listOwnershipReads(
  collections: Collections,
  scope: Scope,
  { ownership_id, from, to, page_size, page_token }: OwnershipReadsRequest,
  bounds: { searched: number; deadline: Date; signal: AbortSignal },
): Promise<OwnershipReads> {
  const key = indexKey(ownership_id);
  const filters = { event_type: 'audit.read', producer_service: 'audit_service', ...(from && { from }), ...(to && { to }) };
  const most = page_size || DEFAULT_PAGE_SIZE;
  const found: RecordDocument[] = [];
  const room = new PageRoom();
  let [searched, token] = [0, page_token ?? ''];
  do {
    const page = await listRecords(collections, scope, filters, {
      page_size: Math.min(READ_AT_ONCE, bounds.searched - searched),
      ...(token && { page_token: token }),
      defaultOrder: 'desc',
      deadline: bounds.deadline,
      list: `reads of ${key}`,
    });
    token = page.next_page_token;
    for (const [index, record] of page.records.entries()) {
      searched += 1;
      if (mayHaveShown(record, key)) {
        room.take(record);
        found.push(record);
      }
      if (found.length === most || room.isFull) {
        const isLast = index === page.records.length - 1;
        return { records: found, next_page_token: isLast ? token : page.tokenAfter(record), searched };
      }
    }
    bounds.signal.throwIfAborted();
  } while (token !== '' && searched < bounds.searched);
  return { records: found, next_page_token: token, searched };
}

/** Somebody else may call himself `audit_service` on the topic, so the payload is not taken for granted. */
function mayHaveShown({ payload, payload_state }: RecordDocument, key: string): boolean {
  if (payload_state !== 'open' || payload === null) return false;
  const { ownership_ids: ids, ownership_count: count } = parseJson(payload) as { ownership_ids?: unknown; ownership_count?: unknown };
  return Array.isArray(ids) && (ids.includes(key) || (typeof count === 'number' && count > ids.length));
}
