import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { type Trace, waterfall } from './waterfall.ts';

const span = (depth: number, service: string, name: string, at: string, duration_ms: number, more: object = {}) => ({
  ...{ depth, service, name, duration_ms, status: 'unset' },
  started_at: `2026-11-21T17:48:03.${at}Z`,
  ...more,
});
const trace: Trace = {
  trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
  started_at: '2026-11-21T17:48:03.334000Z',
  duration_ms: 40,
  services: ['gateway', 'cost-center'],
  complete: true,
  spans: [
    span(0, 'gateway', 'POST /v1/cost-centers', '334000', 40),
    span(1, 'cost-center', 'Create', '344500', 20, { status: 'error', error_type: 'conflict' }),
    span(2, 'cost-center', 'insert events', '354000', 0.25),
  ],
};

test('one line a span, below the one it belongs to, with a bar that shows when it ran', () => {
  expect(waterfall(trace, { width: 100, colours: false })).toEqual([
    'Trace 4bf92f3577b34da6a3ce929d0e0e4736, 2026-11-21T17:48:03.334000Z, 40.0 ms, 3 spans',
    'gateway → cost-center',
    '',
    'gateway      POST /v1/cost-centers  +0.00 ms  █████████████████████████████████  40.0 ms',
    'cost-center    Create               +10.5 ms          █████████████████          20.0 ms  ✗ conflict',
    'cost-center      insert events      +20.0 ms                  █                  0.25 ms',
  ]);
});

test('no line is wider than the terminal, and a narrow one has no bars', () => {
  for (const width of [64, 80, 100, 200]) {
    for (const line of waterfall(trace, { width, colours: false }).slice(3)) expect(line.length).toBeLessThanOrEqual(width);
  }
  expect(waterfall(trace, { width: 50, colours: false }).join('\n')).not.toContain('█');
});

test('colours change nothing but colours', () => {
  const [coloured, plain] = [true, false].map((colours) => waterfall(trace, { width: 100, colours }).join('\n')) as [string, string];
  expect(coloured).not.toBe(plain);
  expect(stripVTControlCharacters(coloured)).toBe(plain);
});

test('what a terminal would take for a command is shown as its number, and what is missing is said', () => {
  const text = waterfall(
    { ...trace, complete: false, spans: [span(0, 'a', 'x\u001b[2J', '334000', 1)] },
    { width: 100, colours: false },
  ).join('\n');
  expect(text).toContain('x\\u{1b}[2J');
  expect(text).toContain('Some spans are missing');
});
