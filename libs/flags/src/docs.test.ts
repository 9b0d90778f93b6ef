import { readFileSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { type FlagDefinition, flags, flagsShape, openFlags } from './index.ts';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const docs = readFileSync(new URL('../../../docs/flags.md', import.meta.url), 'utf8');
const log = { info() {}, warn() {}, error: (details: object) => expect.unreachable(JSON.stringify(details)) };

it('docs/flags.md lists exactly the flags there are', () => {
  const rows = [...docs.matchAll(/^\| `([\w.]+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$/gm)].map(([, ...cells]) => cells);
  const declared = Object.entries<FlagDefinition>(flags).map(([key, { default: on, owner, kind, description }]) => {
    const stays = kind === 'operation' ? 'for operation' : `until ${kind.release}`;
    return [key, on ? 'on' : 'off', owner, stays, description];
  });
  expect(rows).toEqual(declared);
});

it('the file of docs/flags.md does what it says', async () => {
  const [, text = ''] = /```json\n([\s\S]*?)```/.exec(docs) ?? [];
  const file = join(await mkdtemp(join(tmpdir(), 'biz-flags-')), 'flags.json');
  await writeFile(file, text);
  const settings = z.object(flagsShape).parse({ FLAGS_FILE: file });
  await using opened = await openFlags({ settings, service: 'notification', environment: 'test', log });
  const ask = (company_id: string) => opened.ask('notification.welcome_email', { company_id });
  expect(await ask('01934f3a-7c00-7000-8000-00000000000a')).toMatchObject({ on: false });
  expect(await ask('01934f3a-7c00-7000-8000-00000000000b')).toMatchObject({ on: true });
});

it('the example of the README runs', async () => {
  const [, code = ''] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  const body = code.replace(/^import .*$/gm, '').replace('await using', 'const');
  const AsyncFunction = (async () => undefined).constructor as new (...parts: string[]) => (...parts: unknown[]) => Promise<unknown>;
  const run = new AsyncFunction('readConfig', 'flagsShape', 'openFlags', 'log', 'company_id', `${body}\nreturn { on, variant, reason };`);
  const readConfig = (shape: typeof flagsShape) => z.object(shape).parse({});
  expect(await run(readConfig, flagsShape, openFlags, log, 'c')).toEqual({ on: true, variant: undefined, reason: 'DEFAULT' });
});

it('the README lists exactly the settings there are', () => {
  const listed = [...readme.matchAll(/^\| `([A-Z_]+)`/gm)].map(([, name]) => name);
  expect(listed).toEqual(Object.keys(flagsShape));
});
