import { describe, expect, it } from 'vitest';
import { isCnpj, isCpf } from './index.ts';

describe('check digits', () => {
  it.each(['52998224725', '529.982.247-25'])('accepts the CPF %s', (value) => expect(isCpf(value)).toBe(true));
  it.each(['52998224724', '11111111111', '5299822472', '529.98224725', 'x'])('refuses the CPF %s', (value) =>
    expect(isCpf(value)).toBe(false),
  );
  it.each(['11222333000181', '11.222.333/0001-81', '12ABC34501DE35', '12.ABC.345/01DE-35'])('accepts the CNPJ %s', (value) =>
    expect(isCnpj(value)).toBe(true),
  );
  it.each(['11222333000182', '12ABC34501DE36', '12abc34501de35', '00000000000000', ''])('refuses the CNPJ %s', (value) =>
    expect(isCnpj(value)).toBe(false),
  );
});
