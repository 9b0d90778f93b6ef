import type { Contract } from '@biz/protos';
import { defineResource, type ResourceModel } from '@biz/resource';
import { decide, type Facts, type MemberCommand, present, type Team } from './team.ts';

/** Teams as a resource: fields, roles, events and filters are those of the proto. */
export function teamModel(contract: Contract): ResourceModel<Team, MemberCommand, Facts> {
  return defineResource<Team, MemberCommand, Facts>({
    contract,
    service: 'biz.team.v1.TeamService',
    entity: 'Team',
    decide,
    present,
    lookups: { user_id: (state) => Object.keys(state.members ?? {}) },
  });
}
