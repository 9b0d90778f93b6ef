import { expect, it } from 'vitest';
import { cnpjFrom, cpfFrom } from './documents.ts';

it('makes documents with the published check digits', () => {
  expect(cpfFrom('529982247')).toBe('52998224725');
  expect(cnpjFrom('12ABC34501DE')).toBe('12ABC34501DE35');
  expect(cnpjFrom('112223330001')).toBe('11222333000181');
});
