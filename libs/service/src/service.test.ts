import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { idAt, idFromKey, kafkaConnection, kafkaShape, newId, readConfig, serviceShape, traceContext, withSecrets } from './index.ts';

describe('README.md', () => {
  it('lists exactly the settings of every service', () => {
    const section =
      readFileSync(join(import.meta.dirname, '../README.md'), 'utf8')
        .split('## Settings of every process')[1]
        ?.split('\n## ')[0] ?? '';
    const listed = [...section.matchAll(/^\| (`[^|]*`) \|/gm)].flatMap(([, names]) =>
      [...(names ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name),
    );
    const settings = Object.keys(serviceShape).filter((name) => name !== 'KEK_FILE'); // that way of giving KEK is in its row
    expect(listed.sort()).toEqual(settings.sort());
  });
});

describe('readConfig', () => {
  const good = {
    TLS_CA_FILE: 'a',
    TLS_CERT_FILE: 'b',
    TLS_KEY_FILE: 'c',
    GRPC_LISTEN: '127.0.0.1:0',
    MONGODB_URL: 'm',
    KAFKA_BROKERS: 'k1:1,k2:2',
  };

  it('fills in defaults and splits lists', () => {
    expect(readConfig(serviceShape, { ...good, SERVICE_ADDRESSES: 'team=127.0.0.1:1,audit=127.0.0.1:2' })).toMatchObject({
      ENVIRONMENT: 'local',
      KAFKA_BROKERS: ['k1:1', 'k2:2'],
      SERVICE_ADDRESSES: { team: '127.0.0.1:1', audit: '127.0.0.1:2' },
    });
  });

  it.each(['a:1|b:2', 'dns:///audit.biz:5001'])('takes several instances of a service: %s', (address) => {
    const { SERVICE_ADDRESSES } = readConfig(serviceShape, { ...good, SERVICE_ADDRESSES: `audit=${address},team=c:3` });
    expect(SERVICE_ADDRESSES).toEqual({ audit: address, team: 'c:3' });
  });

  it('lets the gateway call whoever else may', () => {
    const peers = (text: string) => readConfig(serviceShape, { ...good, ALLOWED_PEERS: text }).ALLOWED_PEERS;
    expect([peers(''), peers('team,audit'), peers('audit,gateway')]).toEqual([[], ['gateway', 'team', 'audit'], ['gateway', 'audit']]);
  });

  it.each(['audit=a', 'audit=a:1|', 'audit=a:1|b', 'audit=dns:///a:1|b:2', 'audit'])('refuses addresses such as %s', (addresses) => {
    expect(() => readConfig(serviceShape, { ...good, SERVICE_ADDRESSES: addresses })).toThrow(/is not name=host:port/);
  });

  it('names every fault at once, without values', () => {
    const read = () => readConfig(serviceShape, { GRPC_LISTEN: 'secret', SERVICE_ADDRESSES: 'x' });
    expect(read).toThrow(/GRPC_LISTEN: must be host:port/);
    expect(read).toThrow(/MONGODB_URL/);
    expect(read).not.toThrow(/secret/);
  });

  it('reads a secret from a file', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'biz-config-')), 'secret');
    writeFileSync(file, 's3cret\n');
    expect(readConfig({ PASSWORD: z.string() }, { PASSWORD_FILE: file })).toEqual({ PASSWORD: 's3cret' });
    expect(readConfig({ PASSWORD: z.string() }, { PASSWORD_FILE: file, PASSWORD: '' })).toEqual({ PASSWORD: 's3cret' });
  });

  it('takes a setting in one way only, and names a file that cannot be read', () => {
    const read = (env: Record<string, string>) => () => readConfig({ PASSWORD: z.string(), KEK: z.string().optional() }, env);
    expect(read({ PASSWORD: 'hunter2', PASSWORD_FILE: 'x', KEK: '' })).toThrow(/PASSWORD_FILE: PASSWORD is given too; give one of them$/);
    expect(read({ PASSWORD_FILE: '/nowhere/x', KEK_FILE: '/nowhere' })).toThrow(
      /PASSWORD_FILE: \/nowhere\/x cannot be read \(ENOENT\)\n {2}KEK_FILE: \/nowhere cannot/,
    );
    expect(read({ PASSWORD_SECRET: 'prod/password' })).toThrow(/PASSWORD_SECRET: this program asks no secret manager/);
    // a setting that ends so is no reference, and neither is a file that a setting is for
    const shape = { CLIENT: z.string(), CLIENT_SECRET: z.string(), KEK: z.string().optional(), KEK_FILE: z.string() };
    const given = { CLIENT: 'a', CLIENT_SECRET: 'b', KEK_FILE: 'c' };
    expect(readConfig(shape, given)).toEqual(given);
    expect(() => readConfig(shape, { ...given, KEK: 'd' })).toThrow(/KEK_FILE: KEK is given too/);
  });

  it('reads what stands in no secret manager as it is', async () => {
    const names = Object.keys(serviceShape);
    expect(await withSecrets(names, good)).toEqual(good);
    await expect(withSecrets(names, { ...good, MONGODB_URL_SECRET: 'prod/mongodb' })).rejects.toThrow(
      /MONGODB_URL_SECRET: MONGODB_URL is given too/,
    );
  });
});

describe('kafkaConnection', () => {
  const of = (given: Record<string, string>) => () => kafkaConnection(readConfig(kafkaShape, { KAFKA_BROKERS: 'k1:1,k2:2', ...given }));
  const sasl = { KAFKA_SASL_MECHANISM: 'scram-sha-512', KAFKA_SASL_USERNAME: 'svc', KAFKA_SASL_PASSWORD: 'hunter2' };

  it('is plain unless told otherwise', () => {
    expect(of({})()).toEqual({ brokers: ['k1:1', 'k2:2'] });
    expect(of({ KAFKA_TLS: 'true' })()).toEqual({ brokers: ['k1:1', 'k2:2'], tls: {} });
    const ca = join(mkdtempSync(join(tmpdir(), 'biz-config-')), 'ca.pem');
    writeFileSync(ca, 'PEM');
    expect(of({ KAFKA_TLS_CA_FILE: ca, ...sasl })()).toEqual({
      brokers: ['k1:1', 'k2:2'],
      tls: { ca: 'PEM' },
      sasl: { mechanism: 'scram-sha-512', username: 'svc', password: 'hunter2' },
    });
  });

  it('says what is missing, and tells no password to whoever listens', () => {
    const { KAFKA_SASL_USERNAME: _, ...half } = sasl;
    expect(of(half)).toThrow(/are needed together/);
    expect(of(half)).not.toThrow(/hunter2/);
    expect(of({ ...sasl, KAFKA_SASL_MECHANISM: 'plain' })).toThrow(/"plain" tells the password to whoever listens/);
    expect(of({ ...sasl, KAFKA_SASL_MECHANISM: 'plain', KAFKA_TLS: 'true' })()).toMatchObject({ sasl: { mechanism: 'plain' } });
  });
});

describe('ids', () => {
  it('are UUIDs that sort by time, or follow from the key', () => {
    const ids = Array.from({ length: 100 }, newId);
    expect([...ids].sort()).toEqual(ids);
    expect(idFromKey('actor', 'key')).toBe(idFromKey('actor', 'key'));
    expect(idFromKey('actor', 'key')).not.toBe(idFromKey('actork', 'ey'));
    expect(idFromKey('actor', 'key')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('of a time and a key are the same each time, and sort by time', () => {
    const at = (ms: number, key: string) => idAt(new Date(ms), key);
    expect(at(1_000, 'a')).toBe(at(1_000, 'a'));
    expect(at(1_000, 'a')).not.toBe(at(1_000, 'b'));
    expect(at(1_000, 'z') < at(1_001, 'a')).toBe(true);
    expect(at(0x0193_4f3a_7c00, 'a')).toMatch(/^01934f3a-7c00-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

describe('traceContext', () => {
  const parent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

  it('continues a trace with a span of its own', () => {
    const context = traceContext(parent);
    expect(context.trace_id).toBe('4bf92f3577b34da6a3ce929d0e0e4736');
    expect(context.traceparent).not.toBe(parent);
  });

  it.each([undefined, '', 'nonsense', '00-00000000000000000000000000000000-00f067aa0ba902b7-01', `ff${parent.slice(2)}`])(
    'starts a new one instead of %s',
    (header) => expect(traceContext(header).trace_id).toMatch(/^(?!4bf92f)[0-9a-f]{32}$/),
  );
});
