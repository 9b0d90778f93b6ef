import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { resolveSecrets } from './index.ts';

it('the example of the README does what it says', async () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const [, code = ''] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  const [, given = ''] = /^\/\/ (KEK_SECRET=.*)$/m.exec(code) ?? [];
  const env = Object.fromEntries(given.split(/\s+/).map((pair) => pair.split('='))) as Record<string, string>;
  const open = async () => ({
    read: async (id: string) => (id === 'prod/kek' ? 'a2Vr' : '{"url":"mongodb://h"}'),
    [Symbol.dispose]: () => undefined,
  });
  const body = code.replace(/^import .*$/m, '').replace('process.env', 'env');
  const AsyncFunction = (async () => undefined).constructor as new (...parts: string[]) => (...parts: unknown[]) => Promise<unknown>;
  const run = new AsyncFunction('resolveSecrets', 'env', `${body}\nreturn settings;`);
  const settings = await run((names: string[], from: Record<string, string>) => resolveSecrets(names, from, { open }), env);
  expect(settings).toEqual({ KEK: 'a2Vr', MONGODB_URL: 'mongodb://h' });
  expect(env.KEK).toBeUndefined();
});
