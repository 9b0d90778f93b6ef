// The process itself, with all its secrets in a secret manager: what it needs it has, and nobody sees it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { engines, uniqueName, until } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type TestFleet, testFleet } from './test-fleet.ts';
import { type TestMailServer, testMailServer } from './test-mail-server.ts';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));
const webhookKey = Buffer.alloc(32, 7).toString('base64');
let fleet: TestFleet;
let mail: TestMailServer;
let started: ChildProcess | undefined;

beforeAll(async () => {
  [fleet, mail] = await Promise.all([testFleet(), testMailServer()]);
});
afterAll(async () => {
  started?.kill('SIGKILL');
  for (const part of [mail, fleet]) await part?.[Symbol.asyncDispose]();
});

/** Keeps a secret by the manager's own API (JSON 1.1 protocol). */
async function keep(text: string): Promise<string> {
  const Name = uniqueName('biz/notification');
  const answer = await fetch(engines().cloudwatchEndpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'secretsmanager.CreateSecret', authorization },
    body: JSON.stringify({ Name, SecretString: text, ClientRequestToken: crypto.randomUUID() }),
  });
  expect(answer.status, await answer.text()).toBe(200);
  return Name;
}
const authorization = 'AWS4-HMAC-SHA256 Credential=test/20260101/sa-east-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=x';

function start(over: Record<string, string>) {
  const { MONGODB_URL: _, KEK: __, ...environment } = fleet.environment;
  const env = {
    ...{ PATH: process.env.PATH, AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_REGION: 'sa-east-1' },
    ...{ ...environment, AWS_ENDPOINT_URL_SECRETS_MANAGER: engines().cloudwatchEndpoint, LOG_LEVEL: 'trace', ...over },
  };
  const child = spawn(process.execPath, ['--conditions=source', main], { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  started = child;
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (part: Buffer) => void said.push(part.toString()));
  const ready = new Promise<boolean>((resolve) => {
    child.once('message', () => resolve(true));
    // all that it said is there
    child.once('close', () => resolve(false));
  });
  return { child, ready, text: () => said.join('') };
}

it('starts with what the secret manager has, and works', async () => {
  const json = await keep(JSON.stringify({ url: fleet.environment.MONGODB_URL, smtp: mail.url }));
  const { child, ready, text } = start({
    ...{ MONGODB_URL_SECRET: `${json}#url`, SMTP_URL_SECRET: `${json}#smtp` },
    ...{ KEK_SECRET: await keep(`${fleet.environment.KEK}\n`), WEBHOOK_KEY_SECRET: await keep(webhookKey) },
  });
  expect(await ready, text()).toBe(true);
  await fleet.publish(await fleet.userCreated({ company_id: crypto.randomUUID(), email: 'sealed@example.com' }));
  await until(() => mail.received.some((one) => one.to?.value[0]?.address === 'sealed@example.com'), {
    what: 'the mail',
    timeoutMs: 30_000,
  });
  if (process.platform === 'linux') {
    const environ = await readFile(`/proc/${child.pid}/environ`, 'utf8');
    expect(environ).toContain('KEK_SECRET=');
    for (const secret of [String(fleet.environment.KEK), webhookKey]) expect(environ).not.toContain(secret);
  }
  child.kill('SIGTERM');
  await once(child, 'close');
  for (const secret of [String(fleet.environment.KEK), webhookKey]) expect(text()).not.toContain(secret);
});

it('does not start without one of them, and says which', async () => {
  const { child, ready, text } = start({ MONGODB_URL_SECRET: 'biz/none', SMTP_URL: mail.url, KEK_SECRET: 'biz/none#kek' });
  expect(await ready).toBe(false);
  expect(child.exitCode).toBe(1);
  expect(text()).toMatch(/MONGODB_URL_SECRET: the secret \\"biz\/none\\" does not exist/);
  expect(text()).toMatch(/KEK_SECRET: the secret/);
});
