import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CreateSecretCommand, DeleteSecretCommand, PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { engines, uniqueName } from '@biz/testing';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { resolveSecrets } from './index.ts';

const started = { ...process.env };
let client: SecretsManagerClient;

beforeAll(() => {
  Object.assign(process.env, {
    ...{ AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_REGION: 'sa-east-1' },
    AWS_ENDPOINT_URL_SECRETS_MANAGER: engines().cloudwatchEndpoint,
  });
  client = new SecretsManagerClient();
});
afterEach(() => {
  process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = engines().cloudwatchEndpoint;
});
afterAll(() => {
  client.destroy();
  process.env = started;
});

async function kept(secret: { text: string } | { bytes: Buffer }): Promise<string> {
  const name = uniqueName('biz/test');
  await client.send(
    new CreateSecretCommand({ Name: name, ...('text' in secret ? { SecretString: secret.text } : { SecretBinary: secret.bytes }) }),
  );
  return name;
}

it('text, bytes and fields are read through the official client, by name or ARN', async () => {
  const text = await kept({ text: 's3cret\n' });
  const json = await kept({ text: '{"username":"svc","password":"p@ss"}' });
  const bytes = await kept({ bytes: Buffer.alloc(32, 7) });
  const { ARN } = await client.send(new PutSecretValueCommand({ SecretId: text, SecretString: 'rotated' }));
  const env = { A_SECRET: text, B_SECRET: `${json}#password`, C_SECRET: bytes, D_SECRET: `${ARN}` };
  expect(await resolveSecrets(['A', 'B', 'C', 'D'], env)).toEqual({
    ...{ A: 'rotated', B: 'p@ss', C: Buffer.alloc(32, 7).toString('base64'), D: 'rotated' },
  });
});

it('one that is missing or being deleted is named, with what it is for', async () => {
  const dying = await kept({ text: 'hunter2' });
  await client.send(new DeleteSecretCommand({ SecretId: dying, RecoveryWindowInDays: 7 }));
  const failed = resolveSecrets(['KEK', 'SMTP_URL'], { KEK_SECRET: 'biz/none', SMTP_URL_SECRET: dying });
  await expect(failed).rejects.toThrow(/KEK_SECRET: the secret "biz\/none" does not exist in this account and region/);
  await expect(failed).rejects.toThrow(/SMTP_URL_SECRET: the secret .* marked for deletion/);
  await expect(failed).rejects.not.toThrow(/hunter2/);
});

it('no permission, a server that is away and one that says nothing are told apart', async () => {
  const read = (timeoutMs = 15_000) => resolveSecrets(['KEK'], { KEK_SECRET: 'biz/kek' }, { timeoutMs });
  // the emulator refuses nobody, so its answer is given as AWS gives it (JSON 1.1 protocol)
  const denying = await listening((_, response) => {
    response.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' });
    response.end(JSON.stringify({ __type: 'AccessDeniedException', Message: 'User: arn:aws:iam::1:role/x is not authorized' }));
  });
  process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = denying.url;
  await expect(read()).rejects.toThrow(
    /KEK_SECRET: the secret "biz\/kek" may not be read by this process: its role needs secretsmanager:GetSecretValue/,
  );
  await expect(read()).rejects.not.toThrow(/arn:aws/);
  denying.server.close();
  const silent = await listening(() => undefined);
  process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = silent.url;
  await expect(read(300)).rejects.toThrow(/was not answered in time/);
  silent.server.closeAllConnections();
  silent.server.close();
  process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = silent.url;
  await expect(read()).rejects.toThrow(/the secret manager is away or failed \(ECONNREFUSED\)/);
});

it('without a region, that is what is said', async () => {
  const id = await kept({ text: 'x' });
  delete process.env.AWS_REGION;
  await expect(resolveSecrets(['KEK'], { KEK_SECRET: id })).rejects.toThrow(/AWS_REGION is not set/);
  process.env.AWS_REGION = 'sa-east-1';
});

async function listening(answer: Parameters<typeof createServer>[1] & object): Promise<{ server: Server; url: string }> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
