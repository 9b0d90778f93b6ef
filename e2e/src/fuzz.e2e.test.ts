// A thousand seeded random bodies, headers and ids at every route: each gets a well-formed answer, none crashes a process. The same ones each time, so that
// what fails was changed; FUZZ_SEED looks for more.

import { loadContract, type MethodModel } from '@biz/protos';
import { seeded, until } from '@biz/testing';
import { describe, expect, it } from 'vitest';
import { as, send } from './client.ts';
import { currentRun } from './fleet.ts';

const seed = Number(process.env.FUZZ_SEED ?? 1);
const perRoute = Number(process.env.FUZZ_PER_ROUTE ?? 1_000);

const random = seeded(seed);
const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;

const oddTexts = [
  '',
  ' ',
  '\u0000',
  '../..',
  '%00',
  '$where',
  '{"$ne":1}',
  '\u202e\u200f',
  '\ud800',
  "'; drop",
  'a'.repeat(5_000),
  '🦩'.repeat(40),
  '-1',
  'NaN',
  'null',
  '1e999',
  '__proto__',
  'constructor',
  '01890000-0000-7000-8000-000000000000',
  '52998224725',
  'x@y.z',
];
const oddValues: unknown[] = [null, true, 0, -1, 1e308, 2 ** 53, [], {}, [[[]]], { $gt: '' }, { a: { b: { c: 1 } } }, ...oddTexts];

function oddBody(method: MethodModel): string {
  const roll = random();
  if (roll < 0.1) return pick(['', '{', '[]', '"x"', '{"a":1,"a":2}', '{"__proto__":{}}', '['.repeat(500), '\u0000', '{"a":1e400}']);
  const names = method.request.fields.map((field) => field.name);
  const entries = Array.from({ length: Math.floor(random() * 8) }, () => [
    random() < 0.8 ? pick(names) : pick(oddTexts).slice(0, 50),
    pick(oddValues),
  ]);
  return JSON.stringify(Object.fromEntries(entries));
}

function oddHeaders(): Record<string, string> {
  const headers: Record<string, string> = {};
  const latin = (text: string) => text.replaceAll(/[^\x20-\x7e]/g, '').slice(0, 300);
  for (const name of [
    'if-match',
    'idempotency-key',
    'x-company-id',
    'traceparent',
    'x-forwarded-for',
    'content-type',
    'accept',
    'x-request-id',
  ]) {
    if (random() < 0.25) headers[name] = latin(pick(oddTexts));
  }
  if (random() < 0.5) headers['if-match'] = pick(['"1"', '"0"', '*', 'W/"1"', '"99999999999999999999"', '1']);
  return headers;
}

describe(`nonsense (seed ${seed})`, () => {
  it('is answered, every time, by processes that live on', async () => {
    const routes = loadContract()
      .services.flatMap((service) => service.methods)
      // but for streams of events, which do not end
      .filter((method) => method.http && !method.request.fields.some(({ rules }) => rules.header === 'last-event-id'));
    const pids = () => Object.values(currentRun().services).map((service) => service.pid);
    const before = pids();
    const admin = as('admin-a');
    const seen = new Map<number, number>();
    const bad: string[] = [];
    const requests = routes.length * perRoute;
    let sent = 0;
    const worker = async () => {
      while (sent < requests) {
        const method = routes[sent++ % routes.length] as MethodModel;
        const http = method.http as NonNullable<MethodModel['http']>;
        const path =
          http.path.replaceAll(/\{[^}]*\}/g, () => encodeURIComponent(pick(oddTexts).toWellFormed()) || 'x') +
          (random() < 0.3
            ? `?${pick(['page_size', 'page_token', 'status', 'from', 'x'])}=${encodeURIComponent(pick(oddTexts).toWellFormed())}`
            : '');
        const raw = http.verb === 'get' ? undefined : oddBody(method);
        const odd = oddHeaders();
        // asked for each time: one token is good for five minutes, and this takes longer
        const headers = random() < 0.9 ? { ...odd, authorization: `Bearer ${await admin.token()}` } : odd;
        // of an export only how it begins: all of them whole would be a thousand times all that there is
        const answer = await send(http.verb.toUpperCase(), path, { headers, headOnly: method.responseStream, ...(raw ? { raw } : {}) });
        seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
        // Elasticsearch takes the spans of all this at the same time, and may be too slow to be asked
        const isBehind = answer.status === 503 && http.path.startsWith('/v1/traces/');
        if (answer.status >= 500 && !isBehind) bad.push(`${answer.status} ${http.verb} ${path} ${raw}`);
        if (answer.status >= 400 && typeof answer.body?.code !== 'string')
          bad.push(`no problem document: ${answer.status} ${http.verb} ${path}`);
      }
    };
    await Promise.all(Array.from({ length: 16 }, worker));
    expect(bad).toEqual([]);
    expect([...seen.values()].reduce((total, count) => total + count, 0)).toBe(requests);
    expect(seen.get(400)).toBeGreaterThan(100);
    await until(async () => (await admin.get('/v1/cost-centers')).status === 200, {
      timeoutMs: 60_000,
      what: 'a good answer after the nonsense',
    });
    expect(pids()).toEqual(before);
    // a hundred routes; reads of the audit are written down, each of them
  }, 1_200_000);
});
