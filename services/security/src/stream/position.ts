import { AppError } from '@biz/errors';

/** How far a reader is: by partition of the topic the next offset that it has not seen. A partition that is missing was empty. */
export type Position = ReadonlyMap<number, number>;

/** A position and when it was given, as a client keeps it. */
export interface Bookmark {
  readonly at: Date;
  readonly position: Position;
}

/** Text of a bookmark: `<milliseconds since 1970, in base 36>~<partition>.<offset>~…`, in order of the partitions. */
export function bookmarkText({ at, position }: Bookmark): string {
  const parts = [...position].sort(([one], [other]) => one - other).map(([partition, offset]) => `~${partition}.${offset}`);
  return at.getTime().toString(36) + parts.join('');
}

const form = /^[0-9a-z]{1,9}(~\d{1,5}\.\d{1,16})*$/;

/** The bookmark of a text; AppError `invalid_request` for one that was never given. */
export function readBookmark(text: string): Bookmark {
  const [time = '', ...parts] = form.test(text) ? text.split('~') : [];
  const pairs = parts.map((part) => part.split('.').map(Number) as [number, number]);
  const position = new Map(pairs);
  if (time !== '' && position.size === pairs.length && pairs.every(([, offset]) => Number.isSafeInteger(offset))) {
    return { at: new Date(Number.parseInt(time, 36)), position };
  }
  throw new AppError('invalid_request', 'The request does not fit the contract.', {
    faults: [{ path: '/headers/last-event-id', message: 'is not an id of this stream' }],
  });
}

/** The partitions in which something lies between two positions. */
export function spans(from: Position, to: Position): { partition: number; from: number; to: number }[] {
  return [...to].flatMap(([partition, end]) => {
    const begin = from.get(partition) ?? 0;
    return begin < end ? [{ partition, from: begin, to: end }] : [];
  });
}
