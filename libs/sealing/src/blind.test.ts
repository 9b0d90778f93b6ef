import { expect, it } from 'vitest';
import { normalise } from './blind.ts';

it('knows an internet address in every spelling', () => {
  const forms = ['203.0.113.7', '::ffff:203.0.113.7', '::FFFF:cb00:7107', ' 203.0.113.7 ', '0:0:0:0:0:ffff:203.0.113.7'];
  expect(new Set(forms.map((form) => normalise('ip', form)))).toEqual(new Set(['203.0.113.7']));
  const six = ['2001:DB8::1', '2001:0db8:0:0:0:0:0:1', '2001:db8::0001%eth0'];
  expect(new Set(six.map((form) => normalise('ip', form)))).toEqual(new Set(['2001:db8::1']));
});

it('leaves what is no address as it is', () => {
  expect(normalise('ip', 'unknown')).toBe('unknown');
  expect(normalise('ip', '1.2.3.999')).toBe('1.2.3.999');
});
