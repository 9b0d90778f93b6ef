import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ownShape, readServiceConfig } from './config.ts';

it('names every fault at once', () => {
  expect(() => readServiceConfig({})).toThrow(/GRPC_LISTEN[\s\S]*MONGODB_URL[\s\S]*SMTP_URL/);
});

it('is told in README.md, setting by setting', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const told = new Set(readme.match(/`[A-Z][A-Z_]{3,}`/g)?.map((name) => name.slice(1, -1)));
  expect(Object.keys(ownShape).filter((name) => !told.has(name))).toEqual([]);
});

it('webhooks have one key or several, each of 32 bytes', () => {
  const env = {
    GRPC_LISTEN: 'h:1',
    MONGODB_URL: 'm',
    KAFKA_BROKERS: 'k:1',
    SMTP_URL: 'smtp://h',
    TLS_CA_FILE: 'a',
    TLS_CERT_FILE: 'b',
    TLS_KEY_FILE: 'c',
  };
  const [first, second] = [1, 2].map((byte) => Buffer.alloc(32, byte));
  const read = (WEBHOOK_KEY: string) => readServiceConfig({ ...env, WEBHOOK_KEY }).WEBHOOK_KEY;
  expect(read(`${first?.toString('base64')}`)).toEqual([first]);
  expect(read(`${first?.toString('base64')},\n${second?.toString('base64')}`)).toEqual([first, second]);
  expect(() => read(`${first?.toString('base64')} c2hvcnQ=`)).toThrow(/WEBHOOK_KEY: must have at least 32 bytes each/);
  expect(() => read('no-base64!')).toThrow(/WEBHOOK_KEY: must be base64/);
  expect(() => read(',')).toThrow(/WEBHOOK_KEY: must be base64/);
});
