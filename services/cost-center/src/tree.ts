import type { CurrentDocument, EventStore } from '@biz/eventstore';
import { type Asked, isVisible } from '@biz/resource';
import { type CostCenter, maxDepth, newParent, type TreeFacts } from './cost-center.ts';

/**
 * Gathers what a decision needs of the tree, from `current`: under the tree's fence it holds every earlier change of the
 * tree, so facts that are out of date by the time of the append make that append fail, and are gathered again.
 */
export function createTreeReader(store: EventStore): (asked: Asked<CostCenter, never>) => Promise<TreeFacts> {
  const find = (id: string, company_id: string | null) =>
    store.current.findOne({ _id: id, entity_type: 'cost_center', company_id, status: { $ne: 'deleted' } });

  async function ancestorsOf(start: CurrentDocument): Promise<string[]> {
    const ancestors: string[] = [];
    for (let at = parentOf(start); at && ancestors.length < maxDepth; ) {
      ancestors.push(at);
      const next = await find(at, start.company_id);
      at = next ? parentOf(next) : undefined;
    }
    return ancestors;
  }

  return async ({ command, state, company_id, context }) => {
    const parentId = newParent(command, state);
    const found = parentId ? await find(parentId, company_id) : null;
    // another client's is as unknown as one that never was
    const parent = found && isVisible(found, context, 'one', undefined) ? found : null;
    const child = { entity_type: 'cost_center', company_id, 'keys.parent_id': command.id } as const;
    return {
      parent: parent ? { status: parent.status, ancestors: await ancestorsOf(parent) } : undefined,
      hasChildren: command.kind === 'delete' && (await store.current.findOne(child, { projection: { _id: 1 } })) !== null,
    };
  };
}

function parentOf(entity: CurrentDocument): string | undefined {
  return typeof entity.state.parent_id === 'string' ? entity.state.parent_id : undefined;
}
