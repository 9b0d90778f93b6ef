import { styleText } from 'node:util';
import { shown } from './client.ts';

/** A trace as `GET /v1/traces/{trace_id}` answers it: what is drawn of it. */
export interface Trace {
  trace_id: string;
  started_at: string;
  duration_ms: number;
  services: string[];
  complete: boolean;
  spans: TraceSpan[];
}

interface TraceSpan {
  depth: number;
  service: string;
  name: string;
  started_at: string;
  duration_ms: number;
  status: string;
  error_type?: string | null;
}

const LONGEST_SERVICE = 18;
const LONGEST_NAME = 64;
const SHORTEST_NAME = 16;
const DEEPEST = 10;
const SHORTEST_BAR = 10;
/** Between columns. */
const GAP = 2;
const hues = ['cyan', 'green', 'yellow', 'magenta', 'blue'] as const;

/**
 * The trace as lines for a terminal of that width: one a span, indented below the one it belongs to, with a bar that shows when it ran. On a
 * narrow one names are cut, then the bars are left out.
 */
export function waterfall(trace: Trace, { width, colours }: { width: number; colours: boolean }): string[] {
  const rows = trace.spans.map((span) => rowOf(span, microsecondsOf(trace.started_at)));
  const widthOf = (column: 'service' | 'name' | 'start' | 'duration' | 'error') => longest(rows.map((row) => row[column]));
  const [service, start, duration, error] = [widthOf('service'), widthOf('start'), widthOf('duration'), widthOf('error')];
  const rest = width - (service + start + duration + 3 * GAP + (error && error + GAP));
  const name = Math.min(widthOf('name'), Math.max(SHORTEST_NAME, rest - SHORTEST_BAR - GAP));
  const bar = rest - name - GAP >= SHORTEST_BAR ? rest - name - GAP : 0;
  const paint = painter(trace.services, colours);
  const lines = rows.map((row) => {
    const drawn = bar === 0 ? '' : `${paint(row, barOf(row, trace.duration_ms, bar))}  `;
    const text = [row.service.padEnd(service), cut(row.name, name).padEnd(name), row.start.padStart(start)].join('  ');
    const failure = row.error && `  ${colours ? styleText('red', row.error, plain) : row.error}`;
    return `${text}  ${drawn}${row.duration.padStart(duration)}${failure}`;
  });
  const missing = trace.complete ? [] : ['', 'Some spans are missing: they have not arrived yet, or there are too many.'];
  return [...heading(trace), '', ...lines, ...missing];
}

const plain = { validateStream: false } as const;

function heading({ trace_id, started_at, duration_ms, services, spans }: Trace): string[] {
  return [`Trace ${trace_id}, ${started_at}, ${time(duration_ms)}, ${spans.length} spans`, services.map(shown).join(' → ')];
}

function rowOf(span: TraceSpan, origin: number): Row {
  const offset = Math.max(0, microsecondsOf(span.started_at) - origin) / 1_000;
  return {
    service: cut(shown(span.service), LONGEST_SERVICE),
    name: cut(`${'  '.repeat(Math.min(span.depth, DEEPEST))}${shown(span.name)}`, LONGEST_NAME),
    start: `+${time(offset)}`,
    duration: time(span.duration_ms),
    error: span.status === 'error' ? `✗ ${shown(span.error_type ?? 'error')}` : '',
    offset,
    length: span.duration_ms,
    of: span.service,
  };
}

/** At least one cell, also of what took no time that could be seen. */
function barOf({ offset, length }: Row, total: number, cells: number): string {
  const scale = total > 0 ? cells / total : 0;
  const from = Math.min(cells - 1, Math.floor(offset * scale));
  const size = Math.max(1, Math.min(cells - from, Math.round(length * scale)));
  return `${' '.repeat(from)}${'█'.repeat(size)}${' '.repeat(cells - from - size)}`;
}

function painter(services: readonly string[], colours: boolean): (row: Row, text: string) => string {
  return ({ error, of }, text) => {
    if (!colours) return text;
    return styleText(error ? 'red' : (hues[services.indexOf(of) % hues.length] ?? 'cyan'), text, plain);
  };
}

/** Of a time with six digits after the second: Date knows three. */
function microsecondsOf(text: string): number {
  const more = /\.\d{3}(\d{3})/.exec(text)?.[1] ?? '0';
  return Date.parse(text) * 1_000 + Number(more);
}

function time(milliseconds: number): string {
  if (milliseconds >= 10_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  return `${milliseconds.toFixed(milliseconds >= 100 ? 0 : milliseconds >= 1 ? 1 : 2)} ms`;
}

function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function longest(texts: readonly string[]): number {
  return texts.reduce((most, text) => Math.max(most, text.length), 0);
}

interface Row {
  service: string;
  name: string;
  start: string;
  duration: string;
  error: string;
  offset: number;
  length: number;
  of: string;
}
