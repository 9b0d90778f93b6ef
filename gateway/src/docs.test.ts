import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCodes } from '@biz/errors';
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { readGatewayConfig, settingNames } from './config.ts';

const read = (...path: string[]) => readFileSync(join(import.meta.dirname, '..', ...path), 'utf8');

describe('docs/errors.md', () => {
  it('lists exactly the error codes, with what they become', () => {
    const rows = [...read('..', 'docs', 'errors.md').matchAll(/^\| *`(\w+)` *\| *(\d+) *\| *(\w+) *\|/gm)].map(([, code, http, grpc]) => [
      code,
      Number(http),
      grpc,
    ]);
    expect(rows).toEqual(Object.entries(errorCodes).map(([code, entry]) => [code, entry.http, status[entry.grpc]]));
  });
});

describe('README.md', () => {
  it('lists exactly the settings', () => {
    const section = read('README.md').split('## Environment')[1]?.split('\n## ')[0] ?? '';
    const listed = [...section.matchAll(/^\| *(`[^|]*`) *\|/gm)].flatMap(([, names]) =>
      [...(names ?? '').matchAll(/`(\w+)`/g)].map((match) => match[1]),
    );
    expect(listed.sort()).toEqual([...settingNames].sort());
  });
});

describe('the configuration', () => {
  it('names every fault at once', () => {
    const read = () =>
      readGatewayConfig({ GATEWAY_PORT: 'x', OIDC_ALGORITHMS: 'HS256', SERVICE_ADDRESSES: 'team', TRUSTED_PROXIES: '10.0.0.0/8,x' });
    expect(read).toThrow(/TLS_CA_FILE.*SERVICE_ADDRESSES.*GATEWAY_PORT.*OIDC_ISSUER.*OIDC_ALGORITHMS.*TRUSTED_PROXIES/s);
  });
});
