import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ownShape, readServiceConfig } from './config.ts';

it('names every fault at once', () => {
  expect(() => readServiceConfig({})).toThrow(/GRPC_LISTEN[\s\S]*MONGODB_URL/);
});

it('is told in README.md, setting by setting', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const told = new Set(readme.match(/`[A-Z][A-Z_]{3,}`/g)?.map((name) => name.slice(1, -1)));
  expect(Object.keys(ownShape).filter((name) => !told.has(name))).toEqual([]);
});

const env = {
  ...{ GRPC_LISTEN: '127.0.0.1:0', MONGODB_URL: 'mongodb://x', KAFKA_BROKERS: 'x:1' },
  ...{ TLS_CA_FILE: 'a', TLS_CERT_FILE: 'b', TLS_KEY_FILE: 'c' },
};

it('wants of each storage that is on what it cannot do without', () => {
  expect(readServiceConfig(env).SECURITY_STORAGES).toEqual(['mongodb']);
  expect(() => readServiceConfig({ ...env, SECURITY_STORAGES: 'file,postgresql', SECURITY_QUERY_STORAGE: 'elasticsearch' })).toThrow(
    /SECURITY_FILE_FOLDER[\s\S]*POSTGRESQL_URL[\s\S]*SECURITY_QUERY_STORAGE/,
  );
  expect(() => readServiceConfig({ ...env, SECURITY_STORAGES: 'floppy' })).toThrow(/SECURITY_STORAGES/);
  const { SECURITY_STORAGES } = readServiceConfig({ ...env, SECURITY_STORAGES: 'file, mongodb', SECURITY_FILE_FOLDER: '/x' });
  expect(SECURITY_STORAGES).toEqual(['mongodb', 'file']);
});
