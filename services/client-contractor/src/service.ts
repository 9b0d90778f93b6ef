import { loadContract } from '@biz/protos';
import { createResource, defineResource, newValue, openFoundation, resolveReference } from '@biz/resource';
import { createRpcClient } from '@biz/rpc';
import type { Log, RunningService } from '@biz/service';
import { type ClientContractor, decide, type Facts } from './client-contractor.ts';
import type { Config } from './config.ts';

const service = 'biz.client_contractor.v1.ClientContractorService';

/** The composition root. Disposing what it returns drains the calls at work and closes what was opened. */
export async function startService(config: Config, log: Log): Promise<RunningService> {
  const contract = loadContract();
  const model = defineResource<ClientContractor, never, Facts>({
    contract,
    service,
    entity: 'ClientContractor',
    decide,
    unique: [{ field: 'document' }],
  });
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
  return foundation.serve([service], contractors.handlers);
}
