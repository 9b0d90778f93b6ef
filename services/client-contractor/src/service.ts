import { loadContract } from '@biz/protos';
import { createResource, newValue, openFoundation, resolveReference } from '@biz/resource';
import { createRpcClient } from '@biz/rpc';
import type { Log, RunningService } from '@biz/service';
import type { Config } from './config.ts';
import { clientContractorModel } from './model.ts';

/** The composition root. Disposing what it returns drains the calls at work and closes what was opened. */
export async function startService(config: Config, log: Log): Promise<RunningService> {
  const contract = loadContract();
  const model = clientContractorModel(contract);
  const foundation = await openFoundation({ name: 'client-contractor', config, contract, log, models: [model] });
  const costCenters = foundation.use(
    createRpcClient({
      contract,
      service: 'biz.cost_center.v1.CostCenterService',
      address: config.SERVICE_ADDRESSES['cost-center'] ?? '',
      tls: foundation.tls,
    }),
  );
  const contractors = createResource(model, {
    ...foundation,
    prepare: async ({ command, context }) => ({
      costCenter: await resolveReference(costCenters, 'GetCostCenter', newValue(command, 'cost_center_id'), context),
    }),
  });
  return foundation.serve([model.service], contractors.handlers);
}
