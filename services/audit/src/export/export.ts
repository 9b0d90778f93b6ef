import type { MessageModel } from '@biz/protos';
import type { ExportFormat } from './formats.ts';
import type { RecordMessage } from './record-message.ts';
import type { ExportBatch } from './walk.ts';

/** A piece of the file: `google.api.HttpBody`. */
export interface Piece {
  content_type?: string;
  data: Buffer;
}

export interface ExportParts {
  readonly format: ExportFormat;
  /** The contract's message `Record`. */
  readonly model: MessageModel;
  /** Whether an earlier export is continued, whose head is there already. */
  readonly continued: boolean;
  /** The records as messages, in their order. */
  present(batch: ExportBatch): Promise<readonly RecordMessage[]>;
}

/** Characters after which what there is becomes a piece: so many pieces as a stream holds on its way are a few megabytes. */
const PIECE_LENGTH = 64 * 1024;
/** Bytes of a piece, at most: a record may be larger, a message of gRPC may not. */
const LARGEST_PIECE = 1024 * 1024;

/**
 * The file, piece by piece. While the caller takes a batch the next one is read, and no more, so that memory does not grow with the number of
 * records. The first piece tells the content type, and comes only when the first records could be read: an error before that is the whole answer.
 */
export async function* exportPieces(batches: AsyncIterable<ExportBatch>, parts: ExportParts): AsyncGenerator<Piece> {
  const { format, model } = parts;
  let text = parts.continued ? '' : format.head(model);
  let typed: { content_type?: string } = { content_type: format.contentType };
  for await (const batch of ahead(batches)) {
    const records = await parts.present(batch);
    for (const [index, record] of records.entries()) {
      text += format.line(model, record, batch.cursors[index] as string);
      if (text.length < PIECE_LENGTH && index < records.length - 1) continue;
      for (const data of cut(text)) {
        yield { ...typed, data };
        typed = {};
      }
      text = '';
    }
  }
  if (typed.content_type || text) yield { ...typed, data: Buffer.from(text) };
}

/** One value is held, and one is on its way. */
async function* ahead<Value>(source: AsyncIterable<Value>): AsyncGenerator<Value> {
  const values = source[Symbol.asyncIterator]();
  let next = values.next();
  try {
    for (let { done, value } = await next; !done; { done, value } = await next) {
      next = values.next();
      next.catch(() => {}); // its turn comes, or nobody asks any more
      yield value;
    }
  } finally {
    await values.return?.();
  }
}

function* cut(text: string): Generator<Buffer> {
  const bytes = Buffer.from(text);
  for (let from = 0; from < bytes.length; from += LARGEST_PIECE) {
    yield bytes.subarray(from, from + LARGEST_PIECE);
  }
}
