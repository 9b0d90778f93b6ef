import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testTls, until } from '@biz/testing';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { flagsShape, flagsTemplate, openFlags } from './index.ts';
import { testFlagd } from './test-flagd.ts';

const key = 'notification.welcome_email';
const log = { info() {}, warn() {}, error() {} };
const turnedOff = flagsTemplate().replace('"defaultVariant": "on"', '"defaultVariant": "off"');
const open = (settings: Record<string, string>) =>
  openFlags({ settings: z.object(flagsShape).parse(settings), service: 'notification', environment: 'test', log });

it('flags are streamed from flagd, change with it, and stay while it is away', async () => {
  const flagd = await testFlagd(turnedOff);
  await using flags = await open({ FLAGD_ADDRESS: flagd.address });
  await until(async () => !(await flags.ask(key)).on, { what: 'flagd, which a busy machine may be slow to reach' });
  expect(await flags.ask(key)).toEqual({ on: false, variant: 'off', reason: 'STATIC' });
  flagd.set(flagsTemplate());
  await until(async () => (await flags.ask(key)).on, { what: 'the flag to be on' });
  flagd.set(turnedOff);
  await until(async () => !(await flags.ask(key)).on, { what: 'the flag to be off' });
  await flagd[Symbol.asyncDispose]();
  expect(await flags.ask(key)).toMatchObject({ on: false, variant: 'off' });
  await using again = await testFlagd(flagsTemplate(), flagd.address);
  await until(async () => (await flags.ask(key)).on, { what: `flagd at ${again.address} again` });
});

it('flagd that is away at the start holds up nobody, and is found later', async () => {
  const first = await testFlagd(turnedOff);
  await first[Symbol.asyncDispose]();
  await using flags = await open({ FLAGD_ADDRESS: first.address });
  expect(await flags.ask(key)).toMatchObject({ on: true, reason: 'ERROR' });
  await using flagd = await testFlagd(turnedOff, first.address);
  await until(async () => !(await flags.ask(key)).on, { what: `flagd at ${flagd.address}` });
});

it('flagd is spoken to by TLS, and only one that the authority vouches for', async () => {
  await using tls = await testTls(['flagd']);
  const { caFile, certFile, keyFile } = tls.tls('flagd');
  const files = { cert: await readFile(certFile), key: await readFile(keyFile) };
  await using flagd = await testFlagd(turnedOff, 'localhost:0', files);
  await using flags = await open({ FLAGD_ADDRESS: flagd.address, FLAGD_TLS_CA_FILE: caFile });
  await until(async () => !(await flags.ask(key)).on, { what: 'flagd by TLS' });
  expect(await flags.ask(key)).toMatchObject({ on: false, variant: 'off' });
  await using strict = await open({ FLAGD_ADDRESS: flagd.address, FLAGD_TLS: 'true' });
  expect(await strict.ask(key)).toMatchObject({ on: true, reason: 'ERROR' });
});

/** `FLAGD_COMMAND=…/flagd`: the same with flagd itself, where somebody has it. */
const command = process.env.FLAGD_COMMAND;
it.skipIf(!command)(
  'flags come from flagd itself, which reads them from a file',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'biz-flagd-'));
    const file = join(folder, 'flags.json');
    await writeFile(file, turnedOff);
    const [port, syncPort, managementPort] = await Promise.all([freePort(), freePort(), freePort()]);
    const ports = ['--port', `${port}`, '--sync-port', `${syncPort}`, '--management-port', `${managementPort}`];
    const flagd = spawn(command ?? '', ['start', '--uri', `file:${file}`, ...ports], { stdio: 'ignore' });
    try {
      await using flags = await open({ FLAGD_ADDRESS: `127.0.0.1:${syncPort}` });
      await until(async () => !(await flags.ask(key)).on, { what: 'flagd to be there' });
      expect(await flags.ask(key, { company_id: 'c' })).toEqual({ on: false, variant: 'off', reason: 'STATIC' });
      await writeFile(file, flagsTemplate());
      await until(async () => (await flags.ask(key)).on, { what: 'the flag to be on' });
    } finally {
      flagd.kill();
      await rm(folder, { recursive: true });
    }
  },
  90_000,
);

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
