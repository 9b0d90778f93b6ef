import { describe, expect, it } from 'vitest';
import { decideUser, type UserFacts, type UserState } from './user.ts';

const stamp = { id: 'u-1', at: '2026-11-21T12:00:00.000Z' };
const active = { status: 'active' };
const profile = (id: string, roles: string[], over: object = {}) =>
  [id, { id, name: id, status: 'active', roles, company_id: 'c-1', ...over }] as const;

const facts: UserFacts = {
  actor: 'u-9',
  callers: ['c-1'],
  clients: [],
  home: 'c-1',
  profiles: new Map([
    profile('admins', ['admin']),
    profile('sellers', ['user']),
    profile('old', ['user'], { status: 'disabled' }),
    profile('foreign', ['user'], { company_id: 'c-2' }),
    profile('gone', ['user'], { status: 'deleted' }),
  ]),
  companies: new Map([
    ['c-1', active],
    ['c-2', active],
    ['c-3', { status: 'deleted' }],
  ]),
};
const person = { username: 'maria', email: 'maria@example.com', name: 'Maria' };
const state: UserState = { id: 'u-1', status: 'active', ...person, profile_ids: ['sellers', 'old'], company_ids: ['c-1', 'c-2'] };

function paths(run: () => unknown): string[] {
  try {
    run();
    return [];
  } catch (error) {
    return (error as { faults: { path: string }[] }).faults.map((fault) => fault.path);
  }
}

const create = (fields: object, over: Partial<UserFacts> = {}) =>
  decideUser({ kind: 'create', fields: { ...person, ...fields }, ...stamp }, undefined, { ...facts, ...over });
const update = (patch: object, over: Partial<UserFacts> = {}) =>
  decideUser({ kind: 'update', patch, ...stamp }, state, { ...facts, ...over });

describe('a new user', () => {
  it('belongs to its home unless told otherwise, and has its CPF in digits', () => {
    expect(create({ document: '529.982.247-25' })).toMatchObject({ company_ids: ['c-1'], document: '52998224725', status: 'active' });
    expect(create({}, { home: null })).toMatchObject({ company_ids: [] });
  });

  it('takes active profiles of its home alone, each once', () => {
    expect(create({ profile_ids: ['sellers', 'sellers'] })).toMatchObject({ profile_ids: ['sellers'] });
    expect(paths(() => create({ profile_ids: ['sellers', 'old', 'foreign', 'gone', 'none'] }))).toEqual(
      [1, 2, 3, 4].map((at) => `/profile_ids/${at}`),
    );
  });

  it('takes profiles of another of its companies from a caller who has that company, too', () => {
    const both = { company_ids: ['c-1', 'c-2'], profile_ids: ['foreign'] };
    expect(create(both, { callers: ['c-1', 'c-2'] })).toMatchObject({ profile_ids: ['foreign'] });
    expect(paths(() => create({ profile_ids: ['foreign'] }, { callers: ['c-1', 'c-2'] }))).toEqual(['/profile_ids/0']);
    expect(update({ profile_ids: ['foreign'] }, { callers: ['c-1', 'c-2'] })).toEqual({ profile_ids: ['foreign'] });
    expect(paths(() => update({ profile_ids: ['foreign'] }))).toEqual(['/profile_ids/0']);
  });

  it('takes companies of the caller alone; the platform gives any that exists, or all', () => {
    expect(paths(() => create({ company_ids: ['c-1', 'c-2', '*'] }))).toEqual(['/company_ids/1', '/company_ids/2']);
    const platform = { callers: ['*'], home: null };
    expect(paths(() => create({ company_ids: ['c-1', 'c-2', 'c-3', 'c-4', '*'] }, platform))).toEqual(['/company_ids/2', '/company_ids/3']);
    expect(paths(() => create({ company_ids: ['*'] }, { callers: ['*'] }))).toEqual(['/company_ids/0']);
  });

  it('takes clients of the caller alone, where the caller is bound to some', () => {
    expect(create({ client_ids: ['x', 'x'] })).toMatchObject({ client_ids: ['x'] });
    expect(paths(() => create({ client_ids: ['x', 'y'] }, { clients: ['x'] }))).toEqual(['/client_ids/1']);
  });

  it('does not have the name of a service’s account', () => {
    expect(paths(() => create({ username: 'service-account-gateway' }))).toEqual(['/username']);
  });
});

describe('a changed user', () => {
  it('keeps what it has, whoever gave it', () => {
    expect(update({ profile_ids: ['old', 'sellers', 'admins'], company_ids: ['c-2'] })).toEqual({
      profile_ids: ['old', 'sellers', 'admins'],
      company_ids: ['c-2'],
    });
    expect(update({ name: 'Maria', client_ids: [] })).toEqual({ client_ids: [] });
  });

  it('is given a profile once, and loses it once', () => {
    const command = (kind: 'assign_profile' | 'remove_profile', profile_id: string) =>
      decideUser({ kind, profile_id, ...stamp }, state, facts);
    expect(command('assign_profile', 'admins')).toEqual({ profile_ids: ['sellers', 'old', 'admins'] });
    expect(command('assign_profile', 'sellers')).toBeNull();
    expect(paths(() => command('assign_profile', 'foreign'))).toEqual(['/profile_id']);
    expect(command('remove_profile', 'sellers')).toEqual({ profile_ids: ['old'] });
    expect(command('remove_profile', 'admins')).toBeNull();
  });
});

describe('nobody', () => {
  const self = { actor: 'u-1' };
  const conflict = expect.objectContaining({ code: 'conflict' });

  it('disables or deletes themselves', () => {
    for (const kind of ['disable', 'delete'] as const) {
      expect(() => decideUser({ kind, ...stamp }, state, { ...facts, ...self })).toThrow(conflict);
      expect(decideUser({ kind, ...stamp }, state, facts)).toMatchObject({ status: `${kind}d` });
    }
  });

  it('takes the role admin from themselves', () => {
    const admin = { ...state, profile_ids: ['admins', 'sellers'] };
    const remove = { kind: 'remove_profile', profile_id: 'admins', ...stamp } as const;
    expect(() => decideUser(remove, admin, { ...facts, ...self })).toThrow(conflict);
    expect(() => decideUser({ kind: 'update', patch: { profile_ids: [] }, ...stamp }, admin, { ...facts, ...self })).toThrow(conflict);
    expect(decideUser(remove, admin, facts)).toEqual({ profile_ids: ['sellers'] });
  });
});
