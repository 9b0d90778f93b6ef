import { describe, expect, it } from 'vitest';
import { decide, maxMembers, present, type Team } from './team.ts';

const stamp = { id: 't-1', at: '2026-11-21T12:00:00.000Z' };
const team: Team = { id: 't-1', status: 'active', name: 'Caixas', members: { u2: { role: 'member', added_at: stamp.at } } };
const facts = { costCenter: undefined, user: 'active' } as const;

describe('members', () => {
  it('are added, change their role, and are removed', () => {
    expect(decide({ ...stamp, kind: 'add_member', user_id: 'u1', role: 'leader' }, team, facts)).toEqual({
      members: { u1: { role: 'leader', added_at: stamp.at } },
    });
    expect(decide({ ...stamp, kind: 'add_member', user_id: 'u2', role: 'leader' }, team, facts)).toMatchObject({
      event: 'team.member_changed',
    });
    expect(decide({ ...stamp, kind: 'add_member', user_id: 'u2', role: 'member' }, team, facts)).toBeNull();
    expect(decide({ ...stamp, kind: 'remove_member', user_id: 'u2' }, team, facts)).toEqual({ members: { u2: null } });
  });

  it('are users who exist', () => {
    const add = () => decide({ ...stamp, kind: 'add_member', user_id: 'u9', role: 'member' }, team, { ...facts, user: 'missing' });
    expect(add).toThrow(expect.objectContaining({ code: 'invalid_request', faults: [{ path: '/user_id', message: 'does not exist' }] }));
    expect(() => decide({ ...stamp, kind: 'remove_member', user_id: 'u9' }, team, facts)).toThrow(
      expect.objectContaining({ code: 'not_found' }),
    );
  });

  it('are bounded', () => {
    const full = Object.fromEntries(
      Array.from({ length: maxMembers }, (_, index) => [`m${index}`, { role: 'member', added_at: stamp.at }]),
    );
    expect(() => decide({ ...stamp, kind: 'add_member', user_id: 'u1', role: 'x' }, { ...team, members: full }, facts)).toThrow(/at most/);
  });
});

describe('a team', () => {
  it('refers to a cost centre that is there and active', () => {
    expect(() => decide({ ...stamp, kind: 'update', patch: { cost_center_id: 'x' } }, team, { ...facts, costCenter: 'disabled' })).toThrow(
      expect.objectContaining({ code: 'invalid_request', faults: [{ path: '/cost_center_id', message: 'is disabled' }] }),
    );
  });

  it('shows its members in order of user id', () => {
    const two = { ...team, members: { u2: { role: 'b', added_at: 'x' }, u1: { role: 'a', added_at: 'y' } } };
    expect(present(two)).toMatchObject({ members: [{ user_id: 'u1' }, { user_id: 'u2' }] });
  });
});
