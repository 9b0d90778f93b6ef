import { describe, expect, it } from 'vitest';
import { createAddressGuard, ForbiddenAddressError } from './addresses.ts';

const strict = createAddressGuard({ networks: [], loopback: false });
const own = createAddressGuard({ networks: ['10.1.0.0/16'], loopback: true });

describe('a webhook', () => {
  it.each([
    ['https://hooks.example.com/biz?x=1', true],
    ['https://8.8.8.8:8443/', true],
    ['https://[2606:4700::1111]/', true],
    ['http://hooks.example.com/', false],
    ['ftp://hooks.example.com/', false],
    ['https://user:pass@hooks.example.com/', false],
    ['hooks.example.com', false],
    [`https://hooks.example.com/${'x'.repeat(500)}`, false],
    // every spelling of an address inside
    ['https://127.0.0.1/', false],
    ['https://0x7f.1/', false],
    ['https://2130706433/', false],
    ['https://0/', false],
    ['https://10.1.2.3/', false],
    ['https://169.254.169.254/latest/meta-data', false],
    ['https://100.64.0.1/', false],
    ['https://[::1]/', false],
    ['https://[::]/', false],
    ['https://[::ffff:10.1.2.3]/', false],
    ['https://[64:ff9b::a01:203]/', false],
    ['https://[2002:a01:203::1]/', false],
    ['https://[fd00::1]/', false],
    ['https://[fe80::1]/', false],
  ])('at %s is allowed: %s', (url, allowed) => {
    expect(strict.fault(url) === undefined).toBe(allowed);
  });

  it('may be in a network that is named, and here when that is allowed', () => {
    expect(own.fault('https://10.1.2.3/')).toBeUndefined();
    expect(own.fault('https://10.2.2.3/')).toBeDefined();
    expect(own.fault('http://127.0.0.1:8080/')).toBeUndefined();
    expect(own.fault('http://10.1.2.3/')).toBeDefined();
    expect(() => createAddressGuard({ networks: ['10.1.0.0'], loopback: false })).toThrow('is not a network');
  });
});

describe('a name', () => {
  const ask = (guard: typeof strict, name: string) =>
    new Promise((resolve) => guard.lookup(name, { all: true }, (error, found) => resolve(error ?? found)));

  it('that leads inside is refused when it is connected to', async () => {
    expect(await ask(strict, 'localhost')).toBeInstanceOf(ForbiddenAddressError);
    expect(await ask(own, 'localhost')).toEqual(expect.arrayContaining([expect.objectContaining({ address: expect.any(String) })]));
  });
});
