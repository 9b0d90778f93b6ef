import type { Call, StreamHandler } from '@biz/rpc';
import { atMost } from '../export/at-most.ts';
import { exportPieces, type Piece } from '../export/export.ts';
import { type ExportFormatName, exportFormats } from '../export/formats.ts';
import type { RecordMessage } from '../export/record-message.ts';
import { exportBatches } from '../export/walk.ts';
import { presentRecords } from '../query/present.ts';
import type { RecordFilters } from '../query/records.ts';
import { boundTo, narrow, openingFor, scopeOf } from '../query/scope.ts';
import { noteShown } from '../reads/tally.ts';
import type { RpcParts } from './parts.ts';

/** ExportService: records as files, within the companies of the caller; opened is what a list would open. */
export function exportHandlers({ collections, keyring, exporting }: RpcParts): Record<string, StreamHandler> {
  return {
    ExportRecords: atMost(exporting.atOnce, ({ format, cursor, company_id, ...asked }: ExportRequest, call: Call): AsyncIterable<Piece> => {
      const { context, signal } = call;
      const scope = narrow(scopeOf(context), company_id);
      const filters = { ...asked, ...boundTo(context) };
      const opening = openingFor(context);
      noteShown(call, []); // pieces are no records: what is shown is told here, also that it is nothing
      return exportPieces(exportBatches(collections, { scope, filters, cursor, signal, batch: exporting.batch, span: exporting.span }), {
        format: exportFormats[format || 'ndjson'],
        model: exporting.model,
        continued: Boolean(cursor),
        present: async ({ records }) => {
          const messages = (await presentRecords(keyring, records, opening)) as readonly RecordMessage[];
          noteShown(call, messages);
          return messages;
        },
      });
    }),
  };
}

type ExportRequest = RecordFilters & { format?: ExportFormatName | ''; cursor?: string; company_id?: string };
