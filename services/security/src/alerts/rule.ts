import { AppError } from '@biz/errors';
import type { Contract } from '@biz/protos';
import { defineResource, type EntityState, type Patch, type ResourceModel, type Sealable, standardDecision } from '@biz/resource';
import { type CallContext, spansCompanies } from '@biz/rpc';
import type { Severity } from '@biz/security-events';
import type { GroupBy, Kind } from './rules.ts';

/** A stored rule. */
export interface RuleState extends EntityState {
  name: string;
  kind: Kind;
  threshold: number;
  window_seconds: number;
  group_by: GroupBy;
  severity: Severity;
  emails?: Sealable<string[]>;
  webhook_url?: Sealable<string>;
}

export interface RuleFacts {
  context: CallContext;
}

export type RuleModel = ResourceModel<RuleState, never, RuleFacts>;

export function defineRule(contract: Contract): RuleModel {
  return defineResource<RuleState, never, RuleFacts>({
    contract,
    service: 'biz.security.v1.SecurityRuleService',
    entity: 'SecurityRule',
    decide: (command, state, { context }) => {
      assertKeeper(context);
      return standardDecision<RuleState>(command, state) as Patch<RuleState> | null;
    },
    // null: of the platform
    companyOf: (_, __, context) => {
      if (context.company_id === null && !spansCompanies(context)) {
        throw new AppError('company_required', 'Name the company with X-Company-Id.');
      }
      return context.company_id;
    },
  });
}

/** Auditors and DPOs of a company see its rules; those of the platform keep them, too. */
function assertKeeper(context: CallContext): void {
  if (context.actor.type === 'service' || context.roles.includes('admin') || spansCompanies(context)) return;
  throw new AppError('no_role', 'Rules are kept by administrators of the company and by people of the platform.');
}
