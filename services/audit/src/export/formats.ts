import { type MessageModel, renderJson } from '@biz/protos';
import { csvHead, csvLine } from './csv.ts';
import { ocsfLine } from './ocsf.ts';
import type { RecordMessage } from './record-message.ts';

/** How records become a file: pure functions, from a record as the contract's message, with what the caller may see opened. */
export interface ExportFormat {
  readonly contentType: string;
  /** What comes before the first record, unless an export is continued. */
  head(model: MessageModel): string;
  /** One record, with its line end, and in it the cursor that continues after it. */
  line(model: MessageModel, record: RecordMessage, cursor: string): string;
}

const ndjson = 'application/x-ndjson; charset=utf-8';

/** By the name that a request has for it. */
export const exportFormats = {
  /** The record as in every other answer, texts of JSON digit for digit, and first `cursor`. */
  ndjson: {
    contentType: ndjson,
    head: () => '',
    line: (model, record, cursor) => `{"cursor":${JSON.stringify(cursor)},${renderJson(model, record).slice(1)}\n`,
  },
  csv: { contentType: 'text/csv; charset=utf-8', head: csvHead, line: csvLine },
  ocsf: { contentType: ndjson, head: () => '', line: (_, record, cursor) => `${ocsfLine(record, cursor)}\n` },
} as const satisfies Record<string, ExportFormat>;

export type ExportFormatName = keyof typeof exportFormats;
