import { randomUUID } from 'node:crypto';
import { createLog, type RunningService } from '@biz/service';
import { until } from '@biz/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readServiceConfig } from './config.ts';
import { startNotification } from './service.ts';
import { type TestFleet, testFleet } from './test-fleet.ts';
import { type TestMailServer, testMailServer } from './test-mail-server.ts';

const company_id = randomUUID();
let fleet: TestFleet;
let mail: TestMailServer;
let service: RunningService;

beforeAll(async () => {
  [fleet, mail] = await Promise.all([testFleet(), testMailServer()]);
  service = await startNotification(
    readServiceConfig({ ...fleet.environment, SMTP_URL: mail.url, PUBLIC_URL: 'https://biz.example' }),
    createLog('notification', 'silent'),
  );
});

afterAll(async () => {
  for (const part of [service, mail, fleet]) await part?.[Symbol.asyncDispose]();
});

const to = (address: string) => mail.received.filter((received) => received.to?.value[0]?.address === address);
/** The topic read to its end, and nothing left to send. */
const idle = () =>
  until(
    async () => {
      const lag = await fleet.bus.lag(fleet.topic, fleet.topic);
      const waiting = await fleet.database.db.collection('current').countDocuments({ status: 'queued' });
      return waiting === 0 && lag.every((partition) => partition.lag === 0n);
    },
    { what: 'the topic to be read', timeoutMs: 30_000 },
  );

it('a new user is welcomed in the user’s language', async () => {
  await fleet.publish(
    await fleet.userCreated({ company_id, email: 'maria@example.com' }),
    await fleet.userCreated({ company_id, email: 'mary@example.com', locale: 'en' }),
  );
  await idle();
  expect(to('maria@example.com')[0]).toMatchObject({ subject: 'Boas-vindas à Biz Retail, Maria Silva' });
  expect(to('mary@example.com')[0]).toMatchObject({ subject: 'Welcome to Biz Retail, Maria Silva' });
  expect(to('mary@example.com')[0]?.text).toContain('Your user name is mary.');
  expect(to('mary@example.com')[0]?.text).toContain('Sign in at https://biz.example');
});

it('the same event twice welcomes once', async () => {
  const event = await fleet.userCreated({ company_id, email: 'twice@example.com' });
  await fleet.publish(event, event);
  await fleet.publish(event);
  await idle();
  expect(to('twice@example.com')).toHaveLength(1);
});

it('what is old, of another producer, erased or nonsense welcomes nobody and holds up nobody', async () => {
  const yesterday = new Date(Date.now() - 25 * 3_600_000);
  const old = await fleet.userCreated({ company_id, email: 'old@example.com', at: yesterday });
  const foreign = await fleet.userCreated({ company_id, email: 'foreign@example.com' });
  const erased = await fleet.userCreated({ company_id, email: 'erased@example.com' });
  await fleet.database.db.collection('data_keys').updateOne({ ownership_id: erased.key }, { $set: { state: 'erased', wrapped: null } });
  const open = { ...foreign, value: foreign.value.replace('identity_service', 'loyalty_service') };
  const nonsense = { ...foreign, value: 'user.created{' };
  const sealedElsewhere = await fleet.userCreated({ company_id, email: 'moved@example.com' });
  const moved = { ...sealedElsewhere, value: sealedElsewhere.value.replace(company_id, randomUUID()) };
  await fleet.publish(old, open, erased, nonsense, moved, await fleet.userCreated({ company_id, email: 'last@example.com' }));
  await idle();
  expect(to('last@example.com')).toHaveLength(1);
  for (const name of ['old', 'foreign', 'erased', 'moved']) expect(to(`${name}@example.com`)).toEqual([]);
});
