import { afterAll, beforeAll, expect, it } from 'vitest';
import { createMailer, type Mailer } from './mailer.ts';
import { type TestMailServer, testMailServer } from './test-mail-server.ts';

let server: TestMailServer;
let mailer: Mailer;

beforeAll(async () => {
  server = await testMailServer();
  mailer = createMailer({ url: server.url, from: 'Biz Retail <no-reply@biz.example>', connections: 2 });
});

afterAll(async () => {
  mailer[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

const mail = { to: 'maria@example.com', subject: 'Olá, Maria', text: 'Olá', html: '<p>Olá</p>', messageKey: 'n-1' };

it('hands over text and page under a message id of ours', async () => {
  expect(await mailer.send(mail)).toEqual({ kind: 'sent' });
  const [received] = server.received;
  expect(received).toMatchObject({ subject: 'Olá, Maria', text: expect.stringContaining('Olá'), messageId: '<n-1@biz.example>' });
  expect(received?.html).toContain('<p>Olá</p>');
  expect(received?.headers.get('auto-submitted')).toBe('auto-generated');
});

it('takes an address as an address, whatever is in it', async () => {
  expect(await mailer.send({ ...mail, to: 'a@example.com, b@example.com' })).not.toEqual({ kind: 'sent' });
  expect(server.received).toHaveLength(1);
});

it('tells what is final from what passes', async () => {
  server.refuseNext(451, 554);
  expect(await mailer.send(mail)).toEqual({ kind: 'later', reason: 'smtp 451 4.7.0' });
  expect(await mailer.send(mail)).toEqual({ kind: 'refused', reason: 'smtp 554 5.7.0' });
  using nowhere = createMailer({ url: 'smtp://127.0.0.1:1', from: 'x@biz.example', connections: 1 });
  expect(await nowhere.send(mail)).toMatchObject({ kind: 'away' });
});
