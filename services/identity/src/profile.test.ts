import { expect, it } from 'vitest';
import { decideProfile, nameKey, type ProfileState, rolesOf } from './profile.ts';

const stamp = { id: 'p-1', at: '2026-11-21T12:00:00.000Z' };
const profile = (roles: string[], over: Partial<ProfileState> = {}): ProfileState => ({
  id: 'p-1',
  name: 'P',
  status: 'active',
  roles,
  ...over,
});
const nobodys = { users: 0, own: [] };
const conflict = expect.objectContaining({ code: 'conflict' });

it('has one name whatever its case, composition and spaces', () => {
  expect(nameKey('  Gerente  de Loja ')).toBe(nameKey('gerente de loja'));
  expect(nameKey('Ope\u0301rador')).toBe(nameKey('OP\u00C9RADOR'));
});

it('has each role once, and at least one', () => {
  const fields = { name: 'P', roles: ['user', 'admin', 'user'] };
  expect(decideProfile({ kind: 'create', fields, ...stamp }, undefined, nobodys)).toMatchObject({ roles: ['admin', 'user'] });
  expect(decideProfile({ kind: 'update', patch: { roles: ['user', 'admin'] }, ...stamp }, profile(['admin', 'user']), nobodys)).toBeNull();
  expect(() => decideProfile({ kind: 'update', patch: { roles: [] }, ...stamp }, profile(['user']), nobodys)).toThrow(
    expect.objectContaining({ faults: [{ path: '/roles', message: 'is required' }] }),
  );
});

it('gives its roles while it is active', () => {
  expect(rolesOf([profile(['user', 'dpo']), profile(['admin'], { status: 'disabled' })])).toEqual(['dpo', 'user']);
});

it('is not deleted while somebody has it', () => {
  expect(() => decideProfile({ kind: 'delete', ...stamp }, profile(['user']), { users: 1, own: [] })).toThrow(conflict);
});

it('is not changed so that the one who changes it loses the role admin', () => {
  const mine = profile(['admin']);
  const own = { users: 0, own: [mine] };
  expect(() => decideProfile({ kind: 'update', patch: { roles: ['user'] }, ...stamp }, mine, own)).toThrow(conflict);
  expect(() => decideProfile({ kind: 'disable', ...stamp }, mine, own)).toThrow(conflict);
  expect(decideProfile({ kind: 'disable', ...stamp }, mine, { users: 0, own: [mine, profile(['admin'], { id: 'p-2' })] })).toEqual({
    status: 'disabled',
  });
  expect(decideProfile({ kind: 'update', patch: { name: 'Q' }, ...stamp }, mine, own)).toEqual({ name: 'Q' });
});
