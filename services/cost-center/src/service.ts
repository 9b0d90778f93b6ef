import { loadContract } from '@biz/protos';
import { openFoundation } from '@biz/resource';
import type { Log, RunningService } from '@biz/service';
import type { Config } from './config.ts';
import { costCenterModel, createCostCenters } from './rpc.ts';

/** Builds and starts the service; disposing the answer ends it. */
export async function startCostCenter(config: Config, log: Log): Promise<RunningService> {
  const contract = loadContract();
  const model = costCenterModel(contract);
  const foundation = await openFoundation({ name: 'cost-center', config, contract, log, models: [model] });
  const costCenters = createCostCenters(model, foundation);
  return foundation.serve([model.service], costCenters.handlers);
}
