import { randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createBus } from '@biz/bus';
import { loadContract } from '@biz/protos';
import { type CallContext, createRpcClient, type RpcClient } from '@biz/rpc';
import { createLog, type RunningService, traceContext } from '@biz/service';
import { engines, type TestDatabase, type TestTls, testDatabase, testTls, uniqueName, until } from '@biz/testing';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readServiceConfig } from './config.ts';
import { startNotification } from './service.ts';
import { type TestMailServer, testMailServer } from './test-mail-server.ts';

type Message = Record<string, unknown> & { id: string; status: string; attempts: number };

const company = randomUUID();
const topic = uniqueName('audit');
let database: TestDatabase;
let tls: TestTls;
let mail: TestMailServer;
let service: RunningService;
let client: RpcClient;

beforeAll(async () => {
  [database, tls, mail] = await Promise.all([testDatabase('notification'), testTls(['notification', 'gateway']), testMailServer()]);
  await using bus = createBus({ brokers: engines().kafkaBrokers, clientId: 'test', log: createLog('test', 'silent') });
  await bus.ensureTopics([{ topic, partitions: 2 }]);
  await start();
});

afterAll(async () => {
  await stop();
  for (const part of [mail, database, tls]) await part?.[Symbol.asyncDispose]();
});

const webhookKey = randomBytes(32);
const kek = randomBytes(32).toString('base64');

async function start(over: Record<string, string> = {}): Promise<void> {
  const files = tls.tls('notification');
  const config = readServiceConfig({
    ...{ GRPC_LISTEN: '127.0.0.1:0', MONGODB_URL: database.url, MONGODB_DATABASE: database.name, KEYRING_DATABASE: database.name },
    ...{ KAFKA_BROKERS: engines().kafkaBrokers.join(','), AUDIT_TOPIC: topic, CONSUMER_GROUP: topic, KEK: kek },
    ...{ TLS_CA_FILE: files.caFile, TLS_CERT_FILE: files.certFile, TLS_KEY_FILE: files.keyFile },
    ...{ WEBHOOK_KEY: webhookKey.toString('base64'), WEBHOOK_LOOPBACK: 'true' },
    ...{ SMTP_URL: mail.url, MAIL_FROM: 'Biz Retail <no-reply@biz.example>', MAIL_FIRST_PAUSE_MS: '50', MAIL_MAX_ATTEMPTS: '3' },
    ...over,
  });
  service = await startNotification(config, createLog('notification', 'silent'));
  const rpc = { contract: loadContract(), service: 'biz.notification.v1.NotificationService' };
  client = createRpcClient({ ...rpc, address: service.address, tls: tls.tls('gateway') });
}

async function stop(): Promise<void> {
  client?.[Symbol.dispose]();
  await service?.[Symbol.asyncDispose]();
}

function as(roles: string[] = ['manager'], over: Partial<CallContext> = {}): CallContext {
  const trace = traceContext();
  const who = {
    actor: { id: randomUUID(), type: 'user' as const },
    role: roles[0] ?? '',
    roles,
    company_id: company,
    companies: [company],
  };
  return { ...who, clients: [], ip: '203.0.113.9', request_id: 'r', ...trace, ...over };
}

const call = <Answer = Message>(method: string, request: object, context = as()) =>
  client.call(method, request, context) as unknown as Promise<Answer>;
const request = (over: object = {}) => ({
  ...{ channel: 'email', to: 'maria@example.com', template: 'message', locale: 'en' },
  data: JSON.stringify({ subject: 'Stock', body: 'Count <it> today' }),
  ...over,
});
const create = (over: object = {}, context = as()) => call('CreateNotification', request(over), context);
const settled = (id: string, status: string) =>
  until(
    async () => {
      const found = await call('GetNotification', { id });
      return found.status === status && found;
    },
    { what: `the notification to be ${status}`, timeoutMs: 30_000 },
  );
const mailTo = (address: string) => mail.received.filter(({ to }) => to?.value[0]?.address === address);
const eventsOf = async (id: string) => {
  const events = await database.db.collection('events').find({ 'meta.entity_id': id }).sort({ stream_id: 1, version: 1 }).toArray();
  return events.map((event) => event.type as string);
};

describe('an e-mail', () => {
  it('is sent from its template, and its state told', async () => {
    const made = await create({ to: 'first@example.com' });
    expect(made).toMatchObject({ status: 'queued', attempts: 0, company_id: company, to: 'first@example.com' });
    expect(await settled(made.id, 'sent')).toMatchObject({ attempts: 1 });
    const [received] = mailTo('first@example.com');
    expect(received).toMatchObject({
      subject: 'Stock',
      messageId: `<${made.id}@biz.example>`,
      text: expect.stringContaining('Count <it> today'),
    });
    expect(received?.html).toContain('Count &lt;it&gt; today');
    expect(await eventsOf(made.id)).toEqual(['notification.queued', 'notification.sent']);
  });

  it('is tried again when the server has no time, and fails when that is too often', async () => {
    mail.refuseNext(451);
    const made = await create({ to: 'later@example.com' });
    expect(await settled(made.id, 'sent')).toMatchObject({ attempts: 2 });
    expect(await eventsOf(made.id)).toEqual(['notification.queued', 'notification.attempt_failed', 'notification.sent']);
    mail.refuseNext(451, 451, 451);
    const failing = await create();
    expect(await settled(failing.id, 'failed')).toMatchObject({ attempts: 3, last_error: 'smtp 451 4.7.0' });
    const retried = await call('RetryNotification', { id: failing.id });
    expect(retried).toMatchObject({ status: 'queued', attempts: 0 });
    await settled(failing.id, 'sent');
    await expect(call('RetryNotification', { id: failing.id })).rejects.toMatchObject({ code: 'conflict' });
  });

  it('fails at once when it is refused for good', async () => {
    mail.refuseNext(554);
    const made = await create();
    expect(await settled(made.id, 'failed')).toMatchObject({ attempts: 1, last_error: 'smtp 554 5.7.0' });
  });

  it('is asked for once with an Idempotency-Key', async () => {
    const context = as(['manager'], { idempotency_key: randomUUID() });
    const [first, second] = await Promise.all([create({ to: 'once@example.com' }, context), create({ to: 'once@example.com' }, context)]);
    expect(second.id).toBe(first.id);
    await settled(first.id, 'sent');
    expect(mailTo('once@example.com')).toHaveLength(1);
  });

  it('is refused with the path of each fault', async () => {
    const faults = create({ to: 'maria', data: '{"subject":"x"}' });
    await expect(faults).rejects.toMatchObject({ code: 'invalid_request', faults: [{ path: '/to' }, { path: '/data/body' }] });
  });

  it('waits while the mail server is away, also over a restart', async () => {
    // by the usual setting it has failed soon after its first attempt
    await stop();
    await start({ MAIL_MAX_ATTEMPTS: '1000' });
    await mail[Symbol.asyncDispose]();
    const made = await create({ to: 'waiting@example.com' });
    await until(async () => (await call('GetNotification', { id: made.id })).attempts > 0, { what: 'the first attempt' });
    await stop();
    mail = await testMailServer();
    await start();
    await settled(made.id, 'sent');
    expect(mailTo('waiting@example.com')).toHaveLength(1);
  });

  it('that was sent is not sent again when its fold was lost with the process', async () => {
    const made = await create({ to: 'crash@example.com' });
    await settled(made.id, 'sent');
    const due = { version: 1, status: 'queued', 'keys.due_at': new Date().toISOString() };
    await database.db.collection<{ _id: string }>('current').updateOne({ _id: made.id }, { $set: due });
    await settled(made.id, 'sent');
    expect(mailTo('crash@example.com')).toHaveLength(1);
  });
});

describe('a webhook', () => {
  const hooks: { headers: IncomingHttpHeaders; body: string }[] = [];
  const statuses: number[] = [];
  const receiver = createServer(async (incoming, answer) => {
    let body = '';
    for await (const chunk of incoming) body += chunk;
    hooks.push({ headers: incoming.headers, body });
    answer.writeHead(statuses.shift() ?? 204).end();
  });
  afterAll(() => void receiver.close());

  it('is posted, signed by the secret of the company, under one id until it is taken', async () => {
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const to = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/alerts?t=x`;
    statuses.push(503);
    const made = await create({ channel: 'webhook', to });
    expect(await settled(made.id, 'sent')).toMatchObject({ attempts: 2 });
    expect(hooks.map(({ headers }) => headers['webhook-id'])).toEqual([made.id, made.id]);
    const { secret } = await call<{ secret: string }>('RevealWebhookSecret', { to }, as(['admin']));
    for (const { headers, body } of hooks) {
      const told = new Webhook(secret).verify(body, headers as Record<string, string>);
      expect(told).toMatchObject({ type: 'message', data: { subject: 'Stock' } });
    }
    expect(new Set(hooks.map(({ body }) => body)).size).toBe(1);
    await expect(call('RevealWebhookSecret', { to }, as(['manager']))).rejects.toMatchObject({ code: 'no_role' });
  });

  it('may not be sent inside', async () => {
    await expect(create({ channel: 'webhook', to: 'https://169.254.169.254/' })).rejects.toMatchObject({ faults: [{ path: '/to' }] });
  });
});

describe('what waits', () => {
  it('is found by an index', async () => {
    const query = { entity_type: 'notification', 'keys.due_at': { $lte: new Date().toISOString() } };
    const plan = await database.db.collection('current').find(query).sort({ 'keys.due_at': 1 }).limit(10).explain();
    expect(JSON.stringify(plan)).toContain('keys.due_at_1');
  });
});

describe('a message inside the application', () => {
  it('is with its recipient, who sees it opened and nothing else', async () => {
    const recipient = as(['user']);
    const made = await create({ channel: 'in_app', to: recipient.actor.id });
    expect(made).toMatchObject({ status: 'sent', recipient_id: recipient.actor.id, to: recipient.actor.id });
    const page = await call<{ items: Message[] }>('ListNotifications', {}, recipient);
    expect(page.items).toHaveLength(1);
    expect(page.items[0]).toMatchObject({ id: made.id, data: request().data });
    await expect(call('GetNotification', { id: made.id }, as(['user']))).rejects.toMatchObject({ code: 'not_found' });
    expect(await call('GetNotification', { id: made.id }, as(['auditor']))).toMatchObject({ sealed_fields: ['data'] });
    expect(await eventsOf(made.id)).toEqual(['notification.sent']);
  });

  it('of another company is unknown', async () => {
    const { id } = await create({ channel: 'in_app', to: randomUUID() });
    const other = randomUUID();
    await expect(call('GetNotification', { id }, as(['manager'], { company_id: other, companies: [other] }))).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});

it('leaves no personal data in the stores', async () => {
  const { id } = await create({ to: 'zulmira@example.com', data: JSON.stringify({ subject: 'Zulmira', body: 'Inconfundível' }) });
  await settled(id, 'sent');
  const collections = await database.db.listCollections().toArray();
  const texts = await Promise.all(collections.map(async ({ name }) => JSON.stringify(await database.db.collection(name).find().toArray())));
  for (const trace of ['Zulmira', 'zulmira', 'Inconfund']) expect(texts.join('\n')).not.toContain(trace);
});
