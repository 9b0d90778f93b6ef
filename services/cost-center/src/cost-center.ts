import { AppError } from '@biz/errors';
import { type EntityState, neverCommand, type Patch, type Stamp, type StandardCommand, standardDecision } from '@biz/resource';

/** A cost centre: where a company books its costs. Cost centres form a forest: each has at most one parent. */
export interface CostCenter extends EntityState {
  /** Unique in the company. */
  code: string;
  name: string;
  parent_id?: string;
  /** Centavos of BRL, a year. */
  budget_cents?: number;
}

export type CostCenterCommand = StandardCommand<CostCenter>;

/** What a decision needs to know of the rest of the tree. */
export interface TreeFacts {
  /** The parent that the command names; undefined when the company has no such cost centre. */
  parent?: { status: string /** Ids from the parent's own parent up to the root. */; ancestors: string[] } | undefined;
  hasChildren: boolean;
}

/** Levels of a tree, the root included. */
export const maxDepth = 50;

/** Pure: what a command changes, or null. AppError `invalid_request` for an unusable parent, `conflict` for what would break the tree. */
export function decide(command: CostCenterCommand & Stamp, state: CostCenter | undefined, facts: TreeFacts): Patch<CostCenter> | null {
  switch (command.kind) {
    case 'create':
    case 'update':
      if (newParent(command, state)) assertParent(command.id, newParent(command, state), facts);
      return standardDecision<CostCenter>(command, state);
    case 'delete':
      if (facts.hasChildren)
        throw new AppError('conflict', 'A cost centre with others below it cannot be deleted; move or delete those first.');
      return standardDecision<CostCenter>(command, state);
    case 'disable':
    case 'enable':
      return standardDecision<CostCenter>(command, state);
    default:
      return neverCommand(command);
  }
}

/** The parent that a command gives a cost centre, if it is another one than it has. */
export function newParent(command: CostCenterCommand, state: CostCenter | undefined): string | undefined {
  if (command.kind === 'create') return command.fields.parent_id;
  if (command.kind !== 'update') return undefined;
  return command.patch.parent_id && command.patch.parent_id !== state?.parent_id ? command.patch.parent_id : undefined;
}

/**
 * Whether a command's rule looks at other cost centres, so that of two at once one has to look again: moves (two could
 * close a cycle), and disabling or deleting one that another command is just being placed under.
 */
export function concernsTree(command: CostCenterCommand, state: CostCenter | undefined): boolean {
  return command.kind === 'disable' || command.kind === 'delete' || newParent(command, state) !== undefined;
}

function assertParent(id: string, parentId: string | undefined, { parent }: TreeFacts): void {
  if (parentId === id || parent?.ancestors.includes(id)) {
    throw new AppError('conflict', 'A cost centre cannot be below itself.');
  }
  if (!parent) throw parentFault('is not a known cost centre');
  if (parent.status !== 'active') throw parentFault('is a disabled cost centre');
  if (parent.ancestors.length + 2 > maxDepth) throw new AppError('conflict', `Cost centres may be at most ${maxDepth} levels deep.`);
}

function parentFault(message: string): AppError {
  return new AppError('invalid_request', 'The request does not fit the contract.', { faults: [{ path: '/parent_id', message }] });
}
