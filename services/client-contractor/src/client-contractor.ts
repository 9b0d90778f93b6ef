import { assertReference, type Decide, type EntityState, type Patch, type Reference, type Sealable, standardDecision } from '@biz/resource';

/** A contractor is a data subject: what is personal is sealed in every state that a decision sees. */
export interface ClientContractor extends EntityState {
  /** CPF or CNPJ without its mask. */
  document: Sealable<string>;
  name: Sealable<string>;
  email?: Sealable<string>;
  phone?: Sealable<string>;
  cost_center_id?: string;
}

/** What a decision knows beyond the contractor. */
export interface Facts {
  /** The cost centre that the command newly refers to. */
  costCenter: Reference;
}

/** Creating and changing need a cost centre that is there and active; the document is kept without its mask. */
export const decide: Decide<ClientContractor, never, Facts> = (command, state, facts) => {
  switch (command.kind) {
    case 'create':
      assertReference(facts.costCenter, '/cost_center_id');
      return standardDecision({ ...command, fields: { ...command.fields, document: unmasked(command.fields.document) } }, state);
    case 'update': {
      assertReference(facts.costCenter, '/cost_center_id');
      return standardDecision({ ...command, patch: unmaskedPatch(command.patch) }, state);
    }
    case 'disable':
    case 'enable':
    case 'delete':
      return standardDecision(command, state);
  }
};

function unmaskedPatch<Fields extends Patch<Omit<ClientContractor, keyof EntityState>>>(patch: Fields): Fields {
  return typeof patch.document === 'string' ? { ...patch, document: unmasked(patch.document) } : patch;
}

/** Digits and letters only: `529.982.247-25` and `52998224725` are one document. */
export function unmasked<Value>(document: Value): Value {
  return (typeof document === 'string' ? document.replaceAll(/[^0-9A-Za-z]/g, '').toUpperCase() : document) as Value;
}
