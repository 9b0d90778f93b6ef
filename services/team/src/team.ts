import { AppError } from '@biz/errors';
import {
  assertReference,
  type Decide,
  Decided,
  type EntityState,
  type Reference,
  type StandardCommand,
  standardDecision,
} from '@biz/resource';

export interface Member {
  role: string;
  added_at: string;
}

export interface Team extends EntityState {
  name: string;
  description?: string;
  cost_center_id?: string;
  /** By user id, so that an event's merge patch adds or removes one. */
  members?: Record<string, Member>;
}

export type MemberCommand = { kind: 'add_member'; user_id: string; role: string } | { kind: 'remove_member'; user_id: string };

/** What a decision knows beyond the team. */
export interface Facts {
  costCenter: Reference;
  /** The user that `add_member` names. */
  user: Reference;
}

/** Most members of one team; with them an event and an answer stay small. */
export const maxMembers = 500;

export const decide: Decide<Team, MemberCommand, Facts> = (command, state, facts) => {
  switch (command.kind) {
    case 'add_member':
      return addMember(command, state?.members ?? {}, facts, command.at);
    case 'remove_member':
      if (!state?.members?.[command.user_id]) throw new AppError('not_found', 'The user is not a member of the team.');
      return { members: { [command.user_id]: null } };
    default:
      assertReference(facts.costCenter, '/cost_center_id');
      return standardDecision(command as StandardCommand<Team>, state);
  }
};

function addMember(command: { user_id: string; role: string }, members: Record<string, Member>, facts: Facts, at: string) {
  assertReference(facts.user, '/user_id');
  const present = members[command.user_id];
  if (present?.role === command.role) return null;
  if (present) return new Decided<Team>('team.member_changed', { members: { [command.user_id]: { ...present, role: command.role } } });
  if (Object.keys(members).length >= maxMembers) throw new AppError('conflict', `A team has at most ${maxMembers} members.`);
  return { members: { [command.user_id]: { role: command.role, added_at: at } } };
}

/** The team as its message has it: members as a list, in order of user id. */
export function present({ members = {}, ...team }: Team): object {
  const list = Object.entries(members).map(([user_id, member]) => ({ user_id, ...member }));
  return { ...team, members: list.sort((one, other) => (one.user_id < other.user_id ? -1 : 1)) };
}
