import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { loadContract } from '@biz/protos';
import { type CallContext, createRpcClient, serviceContext } from '@biz/rpc';
import { traceContext } from '@biz/service';
import { until } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type TestFleet, testFleet } from './test-fleet.ts';
import { type TestMailServer, testMailServer } from './test-mail-server.ts';

const company_id = randomUUID();
let fleet: TestFleet;
let mail: TestMailServer;
let child: ChildProcess | undefined;

beforeAll(async () => {
  [fleet, mail] = await Promise.all([testFleet(), testMailServer()]);
});

afterAll(async () => {
  child?.kill('SIGKILL');
  for (const part of [mail, fleet]) await part?.[Symbol.asyncDispose]();
});

/** Starts the service as a process; gives its address once it is ready. */
async function start(): Promise<string> {
  const args = ['--conditions=source', '--disable-warning=TimeoutNegativeWarning', fileURLToPath(new URL('main.ts', import.meta.url))];
  const env = { ...process.env, ...fleet.environment, SMTP_URL: mail.url, LOG_LEVEL: 'warn' };
  child = spawn(process.execPath, args, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [message] = (await once(child, 'message')) as [{ address: string }];
  return message.address;
}

async function kill(signal: NodeJS.Signals): Promise<number | null> {
  const ended = once(child as ChildProcess, 'exit');
  child?.kill(signal);
  const [code] = (await ended) as [number | null];
  return code;
}

it('a process killed at any moment leaves nothing unsent, and sends at most what was under way twice', { timeout: 300_000 }, async () => {
  const wanted = 40;
  const address = await start();
  const client = createRpcClient({
    contract: loadContract(),
    service: 'biz.notification.v1.NotificationService',
    address,
    tls: fleet.tls.tls('gateway'),
  });
  const context: CallContext = serviceContext('test', traceContext(), { company_id });
  const data = JSON.stringify({ subject: 'Hi', body: 'there' });
  // all at once are much for a process that has just begun: one that was not answered in time is asked for again
  const create = (index: number) => {
    const request = { channel: 'email', to: `user-${index}@example.com`, template: 'message', data };
    const asked = { ...context, idempotency_key: `mail-${index}` };
    return until(() => client.call('CreateNotification', request, asked), { what: `notification ${index}`, timeoutMs: 60_000 });
  };
  await Promise.all(Array.from({ length: wanted }, (_, index) => create(index)));
  client[Symbol.dispose]();
  for (const seen of [5, 15]) {
    await until(() => mail.received.length >= seen, { what: `${seen} mails`, timeoutMs: 60_000 });
    await kill('SIGKILL');
    await start();
  }
  const sent = () => fleet.database.db.collection('current').countDocuments({ status: 'sent' });
  await until(async () => (await sent()) === wanted, { what: 'all to be sent', timeoutMs: 60_000 });
  const ids = mail.received.map(({ messageId }) => messageId);
  expect(new Set(ids).size).toBe(wanted);
  // five connections, two kills
  expect(ids.length).toBeLessThanOrEqual(wanted + 10);
  expect(await kill('SIGTERM')).toBe(0);
});
