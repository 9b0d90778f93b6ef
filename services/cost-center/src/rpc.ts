import type { Contract } from '@biz/protos';
import { createResource, defineResource, type Resource, type ResourceModel, type ResourceOptions } from '@biz/resource';
import { type CostCenter, concernsTree, decide, type TreeFacts } from './cost-center.ts';
import { createTreeReader } from './tree.ts';

/** Cost centres as a resource: fields, roles, events and filters are those of the proto. */
export function costCenterModel(contract: Contract): ResourceModel<CostCenter, never, TreeFacts> {
  return defineResource<CostCenter, never, TreeFacts>({
    contract,
    service: 'biz.cost_center.v1.CostCenterService',
    entity: 'CostCenter',
    decide,
    unique: [{ field: 'code' }],
    fence: (command, { company_id, state }) => (concernsTree(command, state) ? `cost_center_tree/${company_id}` : undefined),
  });
}

export function createCostCenters(
  model: ResourceModel<CostCenter, never, TreeFacts>,
  options: Omit<ResourceOptions<CostCenter, never, TreeFacts>, 'prepare'>,
): Resource<CostCenter, never> {
  return createResource(model, { ...options, prepare: createTreeReader(options.store) });
}
