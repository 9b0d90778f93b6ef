import { describe, expect, it } from 'vitest';
import { localPath } from './return-to.ts';

describe('where a login may end', () => {
  it.each([
    [undefined, '/v1/me'],
    ['/', '/'],
    ['/docs', '/docs'],
    ['/teams?page_size=2#top', '/teams?page_size=2#top'],
    ['/a/../b', '/b'],
    ['/search?next=https://other.example//', '/search?next=https://other.example//'],
    ['/equipes/são', '/equipes/s%C3%A3o'],
    ['/a//b', '/a//b'],
  ])('%j is %j', (given, path) => {
    expect(localPath(given)).toBe(path);
  });

  it.each([
    '',
    'docs',
    'https://evil.example/',
    'javascript:alert(1)',
    '//evil.example',
    '///evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    '/\t/evil.example',
    '/\n/evil.example',
    ' //evil.example',
    '/.//evil.example',
    '/x/..//evil.example',
    '/%2e//evil.example',
    '/./\\evil.example',
    '/v1/auth/login',
    '/v1/auth/login?return_to=/',
    '/v1/./auth/logout',
    `/${'a'.repeat(2_048)}`,
    ['/a', '/b'],
    { toString: () => '/a' },
  ])('not at %j', (given) => {
    expect(() => localPath(given)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });

  it('a browser stays on the host with every path that is let through', () => {
    for (const given of ['/a//b', '/a/\\b', '/@evil.example', '/:80', '/%5Cevil.example', '/%2F/evil.example']) {
      expect(new URL(localPath(given), 'https://localhost:8443/v1/auth/callback').host).toBe('localhost:8443');
    }
  });
});
