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
  /** Whether anything here knows where an address is. */
  countries: boolean;
}

export type RuleModel = ResourceModel<RuleState, never, RuleFacts>;

export function defineRule(contract: Contract): RuleModel {
  return defineResource<RuleState, never, RuleFacts>({
    contract,
    service: 'biz.security.v1.SecurityRuleService',
    entity: 'SecurityRule',
    decide: (command, state, { context, countries }) => {
      assertKeeper(context);
      if (command.kind === 'create') assertCountable(command.fields, countries);
      if (command.kind === 'update' && state) assertCountable({ ...state, ...(command.patch as Partial<RuleState>) }, countries);
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

/** A country is new once, for one user. */
function assertCountable({ kind, threshold, group_by }: Omit<RuleState, 'id' | 'status'>, countries: boolean): void {
  if (kind !== 'new_country') return;
  const faults = [
    ...(countries
      ? []
      : [{ path: '/kind', message: 'needs a table of countries, which this installation does not have (ALERT_IP_COUNTRIES)' }]),
    ...(threshold === 1 ? [] : [{ path: '/threshold', message: 'of new_country is 1' }]),
    ...(group_by === 'user' ? [] : [{ path: '/group_by', message: 'of new_country is user' }]),
  ];
  if (faults.length > 0) throw new AppError('invalid_request', 'The request does not fit the contract.', { faults });
}

/** Auditors and DPOs of a company see its rules; those of the platform keep them, too. */
function assertKeeper(context: CallContext): void {
  if (context.actor.type === 'service' || context.roles.includes('admin') || spansCompanies(context)) return;
  throw new AppError('no_role', 'Rules are kept by administrators of the company and by people of the platform.');
}
