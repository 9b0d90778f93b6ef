import { expect, it } from 'vitest';
import { type CompanyState, decideCompany, normalCnpj } from './company.ts';

const stamp = { id: 'c-1', at: '2026-11-21T12:00:00.000Z' };
const state: CompanyState = { id: 'c-1', status: 'active', legal_name: 'Loja', cnpj: '12ABC34501DE35' };
const platform = { platform: true, users: 0 };

it('has its CNPJ without mask', () => {
  expect(normalCnpj('12.abc.345/01DE-35')).toBe('12ABC34501DE35');
  const fields = { legal_name: 'Loja', cnpj: '12.ABC.345/01DE-35' };
  expect(decideCompany({ kind: 'create', fields, ...stamp }, undefined, platform)).toMatchObject({
    cnpj: '12ABC34501DE35',
    status: 'active',
  });
  expect(decideCompany({ kind: 'update', patch: { cnpj: '12.ABC.345/01DE-35' }, ...stamp }, state, platform)).toBeNull();
});

it('is created, disabled, enabled and deleted by the platform alone, and named by its own people', () => {
  const own = { platform: false, users: 0 };
  for (const kind of ['disable', 'enable', 'delete'] as const) {
    expect(() => decideCompany({ kind, ...stamp }, state, own)).toThrow(expect.objectContaining({ code: 'no_role' }));
  }
  expect(() => decideCompany({ kind: 'create', fields: state, ...stamp }, undefined, own)).toThrow(
    expect.objectContaining({ code: 'no_role' }),
  );
  expect(decideCompany({ kind: 'update', patch: { legal_name: 'Nova' }, ...stamp }, state, own)).toEqual({ legal_name: 'Nova' });
});

it('is deleted only without users', () => {
  const command = { kind: 'delete', ...stamp } as const;
  expect(() => decideCompany(command, state, { platform: true, users: 1 })).toThrow(expect.objectContaining({ code: 'conflict' }));
  expect(decideCompany(command, state, platform)).toEqual({ status: 'deleted' });
});
