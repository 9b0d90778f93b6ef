import type { FieldModel, MessageModel } from '@biz/protos';
import type { RecordMessage } from './record-message.ts';

/** CSV of RFC 4180: comma, CRLF, quotes where they are needed; UTF-8. The names of the record's fields, and last `cursor`. */
export function csvHead(model: MessageModel): string {
  return row([...columnsOf(model), 'cursor']);
}

/** A record in the order of the head. Texts of JSON stand as they are, digit for digit; an empty cell is a value that is not there. */
export function csvLine(model: MessageModel, record: RecordMessage, cursor: string): string {
  const values = record as unknown as Readonly<Record<string, unknown>>;
  const cells = columnsOf(model).map((name) => {
    if (record.sealed_fields.includes(name)) return '{"sealed":true}';
    if (record.erased_fields.includes(name)) return '{"erased":true}';
    return textOf(values[name]);
  });
  return row([...cells, cursor]);
}

const columns = new WeakMap<MessageModel, readonly string[]>();

function columnsOf(model: MessageModel): readonly string[] {
  const known = columns.get(model) ?? model.fields.filter(isColumn).map(({ name }) => name);
  columns.set(model, known);
  return known;
}

/** The lists of closed fields are told in the cells. */
function isColumn({ rules }: FieldModel): boolean {
  return !rules.output_only;
}

function textOf(value: unknown): string {
  return value === undefined || value === null || value === 'null' ? '' : String(value);
}

function row(cells: readonly string[]): string {
  return `${cells.map(cell).join(',')}\r\n`;
}

/** Spreadsheets take a cell that begins so for a formula (OWASP, CSV Injection), also in the wide forms of East Asian input. */
const formula = /^[=+\-@\t\r\n＝＋－＠]/;

function cell(value: string): string {
  const text = formula.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
