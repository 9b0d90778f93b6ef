import { describe, expect, it } from 'vitest';
import { assertNoUsers, assertPlatform, normalCnpj } from './company.ts';
import { assertKeepsAdmin, assertUnused, nameKey, normalRoles, type ProfileState, rolesOf } from './profile.ts';
import { assertNotOneself, companyFaults, distinct, profileFaults, refuse } from './user.ts';

const code = (run: () => void) => {
  try {
    run();
    return 'ok';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

const profile = (roles: string[], status: ProfileState['status'] = 'active'): ProfileState => ({ id: 'p', name: 'P', roles, status });

describe('a company', () => {
  it('has its CNPJ without mask', () => {
    expect(normalCnpj('12.abc.345/01DE-35')).toBe('12ABC34501DE35');
  });

  it('is created, disabled and deleted by the platform, and deleted only without users', () => {
    expect(code(() => assertPlatform({ companies: ['c-1'] }))).toBe('no_role');
    expect(code(() => assertPlatform({ companies: ['*'] }))).toBe('ok');
    expect(code(() => assertNoUsers(1))).toBe('conflict');
    expect(code(() => assertNoUsers(0))).toBe('ok');
  });
});

describe('a profile', () => {
  it('has one name whatever its case and spaces', () => {
    expect(nameKey('  Gerente  de Loja ')).toBe(nameKey('gerente de loja'));
    expect(nameKey('Ope\u0301rador')).toBe(nameKey('OP\u00c9RADOR'));
  });

  it('has each role once', () => {
    expect(normalRoles(['user', 'admin', 'user'])).toEqual(['admin', 'user']);
  });

  it('gives its roles while it is active', () => {
    expect(rolesOf([profile(['user', 'dpo']), profile(['admin'], 'disabled'), undefined])).toEqual(['dpo', 'user']);
  });

  it('is not deleted while somebody has it', () => {
    expect(code(() => assertUnused(2))).toBe('conflict');
  });

  it('does not take the role admin from the one who changes it', () => {
    expect(code(() => assertKeepsAdmin([profile(['admin'])], [profile(['user'])]))).toBe('conflict');
    expect(code(() => assertKeepsAdmin([profile(['admin'])], [profile(['admin'], 'disabled')]))).toBe('conflict');
    expect(code(() => assertKeepsAdmin([profile(['admin'])], [profile(['admin']), profile(['user'])]))).toBe('ok');
    expect(code(() => assertKeepsAdmin([profile(['user'])], []))).toBe('ok');
  });
});

describe('a user', () => {
  it('takes active profiles of its home company alone', () => {
    const known = [
      { status: 'active', company_id: 'c-1' },
      { status: 'disabled', company_id: 'c-1' },
      { status: 'active', company_id: 'c-2' },
      undefined,
    ];
    expect(profileFaults(['a', 'b', 'c', 'd'], known, 'c-1')).toEqual([
      { path: '/profile_ids/1', message: 'is a disabled profile' },
      { path: '/profile_ids/2', message: 'is not a known profile' },
      { path: '/profile_ids/3', message: 'is not a known profile' },
    ]);
    expect(profileFaults(['d'], [undefined], 'c-1', '/profile_id')).toEqual([{ path: '/profile_id', message: 'is not a known profile' }]);
  });

  it('takes companies of the caller alone, and keeps those it has', () => {
    const active = { status: 'active', company_id: null };
    const faults = (ids: string[], caller: string[], present: string[] = []) =>
      companyFaults(
        ids,
        ids.map((id) => (id === 'gone' ? undefined : active)),
        { companies: caller },
        present,
      ).map((fault) => fault.path);
    expect(faults(['c-1', 'c-2'], ['c-1'])).toEqual(['/company_ids/1']);
    expect(faults(['c-1', 'c-2'], ['c-1'], ['c-2'])).toEqual([]);
    expect(faults(['c-1', 'c-2', 'gone'], ['*'])).toEqual(['/company_ids/2']);
    expect(faults(['*'], ['*'])).toEqual([]);
    expect(faults(['*'], ['c-1'])).toEqual(['/company_ids/0']);
  });

  it('does not lock itself out', () => {
    expect(code(() => assertNotOneself('u', 'u'))).toBe('conflict');
    expect(code(() => assertNotOneself('u', 'v'))).toBe('ok');
  });

  it('is refused with the path of each fault', () => {
    expect(code(() => refuse([]))).toBe('ok');
    expect(code(() => refuse([{ path: '/a', message: 'b' }]))).toBe('invalid_request');
    expect(distinct(['a', 'b', 'a'])).toEqual(['a', 'b']);
  });
});
