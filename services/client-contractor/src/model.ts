import type { Contract } from '@biz/protos';
import { defineResource, type ResourceModel } from '@biz/resource';
import { type ClientContractor, decide, type Facts } from './client-contractor.ts';

/** Clients and contractors as a resource: fields, roles, events and filters are those of the proto. */
export function clientContractorModel(contract: Contract): ResourceModel<ClientContractor, never, Facts> {
  return defineResource<ClientContractor, never, Facts>({
    contract,
    service: 'biz.client_contractor.v1.ClientContractorService',
    entity: 'ClientContractor',
    decide,
    unique: [{ field: 'document' }],
  });
}
