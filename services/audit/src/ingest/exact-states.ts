import type { Collections } from '../collections.ts';
import type { EntityState, VersionAt } from './plan.ts';

interface Summary {
  _id: string;
  count: number;
  newest: number;
}

interface Version {
  _id: string;
  entity_key: string;
  version: number;
  active_after: boolean;
  is_active: boolean;
}

const projection = { entity_key: 1, version: 1, active_after: 1, is_active: 1 };

/** States of entities from their records: what `entities` says is behind when a consumer crashed, or another one is at work. */
export async function exactStates(collections: Collections, keys: readonly string[]): Promise<Map<string, EntityState>> {
  const summaries = await collections.records
    .aggregate<Summary>([
      { $match: { entity_key: { $in: [...keys] } } },
      { $group: { _id: '$entity_key', count: { $sum: 1 }, newest: { $max: '$version' } } },
    ])
    .toArray();
  const raised = new Map(
    (await collections.entities.find({ _id: { $in: [...keys] } }, { projection: { version: 1 } }).toArray()).map(({ _id, version }) => [
      _id,
      version,
    ]),
  );
  const states = await Promise.all(
    summaries.map(async (summary) => [summary._id, await stateOf(collections, summary, raised.get(summary._id) ?? 0)] as const),
  );
  return new Map(states);
}

async function stateOf(collections: Collections, { _id: key, count, newest }: Summary, raised: number): Promise<EntityState> {
  // Gaps are near the top: those of tries that were cut short. Below the raised head no flag is left (see ingest.ts).
  const missing = newest - count;
  const above: Version[] = [];
  let gaps = 0;
  let expected = newest;
  for await (const one of collections.records.find<Version>({ entity_key: key }, { projection, sort: { version: -1 } })) {
    gaps += expected - one.version;
    expected = one.version - 1;
    above.push(one);
    if (gaps === missing && one.version <= raised) {
      break;
    }
  }
  return fromVersions(above, gaps === missing);
}

/** `above` is newest first; when it is `grounded`, no version below the lowest of them is missing. */
function fromVersions(above: readonly Version[], grounded: boolean): EntityState {
  const rising = above.toReversed();
  const beyond = new Map<number, VersionAt>();
  let last: Version | undefined;
  let whole = grounded;
  for (const one of rising) {
    whole &&= last === undefined || one.version === last.version + 1;
    if (whole) {
      last = one;
    } else {
      beyond.set(one.version, versionAt(one));
    }
  }
  return {
    version: last?.version ?? 0,
    newest: last ? versionAt(last) : null,
    beyond,
    flagged: above.filter(({ is_active }) => is_active).map(({ _id }) => _id),
    shared: true,
  };
}

function versionAt({ _id, active_after }: Version): VersionAt {
  return { record_id: _id, active: active_after };
}
