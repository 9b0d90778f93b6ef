import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { localUsers, mongodbUrlOf, type RunFile, readRunFile, removeRunFile, withoutPassword, writeRunFile } from './run-file.ts';
import { columns, tableOf } from './table.ts';

const run: RunFile = {
  gateway: 'https://localhost:8443',
  ca_file: '/tls/ca.pem',
  kafka_brokers: '127.0.0.1:1',
  mongodb_url: 'mongodb://127.0.0.1:2',
  keycloak_url: 'http://127.0.0.1:3',
  realm: 'biz',
  client_id: 'biz-cli',
  elasticsearch_url: null,
  otlp_endpoint: null,
  smtp_url: 'smtp://127.0.0.1:4',
  mail_url: null,
  checkpoint_file: '/checkpoints/audit.jsonl',
  services: {
    audit: {
      ...{ grpc: '127.0.0.1:5', pid: 77, database: 'audit' },
      instances: [
        { process: 'audit', grpc: '127.0.0.1:5', pid: 77 },
        { process: 'audit-2', grpc: '127.0.0.1:6', pid: 78 },
      ],
    },
  },
  users: localUsers(),
};

test('is written whole, for its owner only, and read back', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'biz-run-'));
  const file = join(folder, 'run.json');
  expect(await readRunFile(file)).toBeUndefined();
  await writeRunFile(file, run);
  expect(await readRunFile(file)).toEqual(run);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readdir(folder)).toEqual(['run.json']);
  await removeRunFile(file);
  expect(await readRunFile(file)).toBeUndefined();
  await rm(folder, { recursive: true });
});

test('people see every address and user, and nothing of what does not run', () => {
  const table = tableOf(run);
  for (const text of ['https://localhost:8443/docs', '127.0.0.1:5 127.0.0.1:6 (database audit)', 'manager-a', 'platform'])
    expect(table).toContain(text);
  expect(table).not.toContain('elasticsearch');
});

test('columns are as wide as their widest cell', () => {
  expect(
    columns([
      ['a', 'bbb', 'c'],
      ['aaa', 'b', ''],
    ]),
  ).toEqual(['  a    bbb  c', '  aaa  b']);
});

test('a password in a URL is not in the run file, and comes from the environment again', () => {
  expect(withoutPassword('mongodb://svc:hunter2%40x@h1:1,h2:2/db?x=a@b')).toBe('mongodb://svc@h1:1,h2:2/db?x=a@b');
  expect(withoutPassword('smtps://svc:hunter2@h:465')).toBe('smtps://svc@h:465');
  for (const url of ['mongodb://127.0.0.1:2', 'http://svc@h:1/a:b@c', 'smtp://h']) expect(withoutPassword(url)).toBe(url);
  const given = { mongodb_url: 'mongodb://svc@h:1/' };
  expect(mongodbUrlOf(given, { MONGODB_URL: 'mongodb://svc:hunter2@h:1/' })).toBe('mongodb://svc:hunter2@h:1/');
  expect(mongodbUrlOf(given, { MONGODB_URL: 'mongodb://svc:hunter2@elsewhere:1/' })).toBe('mongodb://svc@h:1/');
  expect(mongodbUrlOf(given, {})).toBe('mongodb://svc@h:1/');
});
