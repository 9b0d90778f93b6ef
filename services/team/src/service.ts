import { loadContract } from '@biz/protos';
import { createResource, newValue, openFoundation, resolveReference } from '@biz/resource';
import { createRpcClient } from '@biz/rpc';
import type { Log, RunningService } from '@biz/service';
import type { Config } from './config.ts';
import { teamModel } from './model.ts';

/** The composition root. Disposing what it returns drains the calls at work and closes what was opened. */
export async function startService(config: Config, log: Log): Promise<RunningService> {
  const contract = loadContract();
  const model = teamModel(contract);
  const foundation = await openFoundation({ name: 'team', config, contract, log, models: [model] });
  const clientOf = (name: string, process: string) =>
    foundation.use(createRpcClient({ contract, service: name, address: config.SERVICE_ADDRESSES[process] ?? '', tls: foundation.tls }));
  const costCenters = clientOf('biz.cost_center.v1.CostCenterService', 'cost-center');
  const users = clientOf('biz.identity.v1.UserService', 'identity');
  const teams = createResource(model, {
    ...foundation,
    prepare: async ({ command, context }) => {
      const [costCenter, user] = await Promise.all([
        resolveReference(costCenters, 'GetCostCenter', newValue(command, 'cost_center_id'), context),
        resolveReference(users, 'GetUser', command.kind === 'add_member' ? command.user_id : undefined, context),
      ]);
      return { costCenter, user };
    },
  });
  return foundation.serve([model.service], {
    ...teams.handlers,
    AddTeamMember: teams.handler('AddTeamMember', ({ user_id, role }: { user_id: string; role: string }) => ({
      kind: 'add_member',
      user_id,
      role,
    })),
    RemoveTeamMember: teams.handler('RemoveTeamMember', ({ user_id }: { user_id: string }) => ({ kind: 'remove_member', user_id })),
  });
}
