import type { RecordDocument } from '../record.ts';
import type { Order, Position } from './page.ts';

export type RecordFilter = Record<string, unknown>;

/** A way through the records: an index, what it is asked, and where a page of it goes on. */
export interface Walk {
  /** Whether its index leads to few records, and not to most of a company. */
  selective: boolean;
  filter: RecordFilter;
  index: string;
  sort: string[];
  types: readonly ['string' | 'number', 'string' | 'number'];
  position(record: RecordDocument): Position;
  after(position: Position, order: Order): RecordFilter;
}
