// Fault 22 at the gateway: whatever a text holds, it is data on the way in and out, and it forges no line of the log.
import { loadContract } from '@biz/protos';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { httpMethods } from './routes.ts';
import { someId, type TestFleet, testFleet } from './testing/index.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

/** CR/LF that begin a line of the log, ANSI (colour, title, erase), bidirectional overrides, NUL, a script, a formula. */
const hostile = [
  'a\r\n{"level":30,"msg":"forged"}\r\nb',
  '\u001b[31mred\u001b[2J\u001b]0;title\u0007\u009b1m',
  'user\u202etxt.exe\u2066\u200f',
  'a\u0000b',
  '<script>alert(1)</script><img src=x onerror=alert(1)>',
  '=HYPERLINK("http://evil.example","x")',
];

let fleet: TestFleet;
const contract = loadContract();
const path = `/v1/cost-centers`;

beforeAll(async () => {
  fleet = await testFleet({ processes: [...new Set(contract.services.map(({ process }) => process))] });
});
afterAll(() => fleet?.[Symbol.asyncDispose]());
beforeEach(() => fleet.reset());

/** Each line is one JSON document of ours, with nothing raw in it that a terminal would act on. */
function expectCleanLog(): void {
  for (const line of fleet.gateway.lines) {
    expect(line.trimEnd()).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
    expect(JSON.parse(line).msg).not.toBe('forged');
  }
}

describe.each(hostile)('the text %j', (text) => {
  it('reaches the service and comes back as it is', async () => {
    const answer = await fleet.gateway.as({}, 'POST', path, { body: { code: 'A', name: text } });
    expect(answer.status).toBe(201);
    expect(fleet.services.received.at(-1)?.request.name).toBe(text);
    expect(answer.json.name).toBe(text);
    expect(answer.headers.get('content-type')).toContain('application/json');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expectCleanLog();
  });

  it('in any text field of any route is answered as JSON, and forges no line of the log', async () => {
    for (const method of httpMethods(contract)) {
      if (!method.http || method.responseStream) continue;
      const url = method.http.path.replaceAll(/\{[^}]+\}/g, someId);
      const names = method.request.fields.filter(({ type }) => type === 'string').map(({ name }) => name);
      const verb = method.http.verb.toUpperCase();
      const texts = Object.fromEntries(names.map((name) => [name, text]));
      const answer =
        verb === 'GET'
          ? await fleet.gateway.as({}, verb, `${url}?${new URLSearchParams(texts)}`)
          : await fleet.gateway.as({}, verb, url, { body: texts, headers: { 'if-match': '"1"' } });
      expect(answer.status, `${verb} ${url}`).toBeLessThan(500);
      if (answer.text) expect(answer.json, `${verb} ${url}`).toBeDefined();
    }
    expect(fleet.gateway.lines.length).toBeGreaterThan(50);
    expectCleanLog();
  });
});

it('a header that would be logged is taken only when it is one word', async () => {
  for (const id of ['a\tb', 'x\u0085y', '"},{"msg":"forged"', 'a b']) {
    const answer = await fleet.gateway.as({}, 'GET', `${path}/${someId}`, { headers: { 'x-request-id': id } });
    expect(answer.headers.get('x-request-id')).not.toBe(id);
  }
  expectCleanLog();
});
