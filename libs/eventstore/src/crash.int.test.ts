import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type TestDatabase, testDatabase, until } from '@biz/testing';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createEventStore, type EventStore } from './index.ts';
import { change, things } from './testing.ts';

interface Line {
  id: string;
  stream: string;
  version: number;
}

let database: TestDatabase;
let store: EventStore;
beforeAll(async () => {
  database = await testDatabase('crash');
  store = createEventStore({ db: database.db, entities: things });
  await store.ensureIndexes();
});
afterAll(() => database[Symbol.asyncDispose]());

/** Starts a process of test-process.ts; `lines` grows with what it says. */
function start(...args: string[]) {
  const file = fileURLToPath(new URL('./test-process.ts', import.meta.url));
  const [role = '', ...more] = args;
  const child = spawn(process.execPath, ['--conditions=source', file, role, database.url, database.name, ...more], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines: Line[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line)));
  const closed = once(child, 'close');
  return { child, lines, closed };
}

test('a writer killed again and again: nothing acknowledged is lost, streams are gapless, current and claims come right', async () => {
  const acknowledged: Line[] = [];
  for (let round = 1; round <= 4; round += 1) {
    const { child, lines, closed } = start('writer');
    await until(() => lines.length >= 40 * round, { what: 'acknowledged writes' });
    child.kill('SIGKILL');
    await closed;
    acknowledged.push(...lines);
  }
  const events = await store.events.find({}).sort({ stream_id: 1, version: 1 }).toArray();
  const ids = new Set(events.map(({ _id }) => _id));
  expect(acknowledged.filter(({ id }) => !ids.has(id))).toEqual([]);
  const heads = new Map<string, number>();
  for (const { stream_id, version } of events) {
    expect(version).toBe((heads.get(stream_id) ?? 0) + 1);
    heads.set(stream_id, version);
  }
  await store.repair();
  const current = await store.current.find({}).toArray();
  expect(Object.fromEntries(current.map(({ _id, version }) => [`thing:${_id}`, version]))).toEqual(Object.fromEntries(heads));
  for (const { _id } of current) await store.execute(change(_id, { code: `after-${_id}` }));
  await expect(store.execute(change('other', { code: `after-${current[0]?._id}` }))).rejects.toMatchObject({ code: 'already_exists' });
});

test('a relay killed between delivery and mark: the next delivers again, the same ids, in order', async () => {
  const dying = start('relay', '3');
  await dying.closed;
  expect(dying.lines).toHaveLength(21);
  const next = start('relay', '0');
  await until(async () => (await store.events.countDocuments({ published_at: null })) === 0, {
    what: 'all to be published',
  });
  next.child.kill('SIGKILL');
  await next.closed;
  const again = next.lines.slice(0, 7).map(({ id }) => id);
  expect(again).toEqual(dying.lines.slice(14).map(({ id }) => id));
  const heads = new Map<string, number>();
  const seen = new Set<string>();
  for (const { id, stream, version } of [...dying.lines, ...next.lines]) {
    if (seen.has(id)) continue;
    seen.add(id);
    expect(version).toBe((heads.get(stream) ?? 0) + 1);
    heads.set(stream, version);
  }
  expect(seen.size).toBe(await store.events.countDocuments({}));
});
