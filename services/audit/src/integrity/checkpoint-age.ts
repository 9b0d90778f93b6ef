import { askedOnce, gauge } from '@biz/telemetry';
import type { Collections } from '../collections.ts';
import { checkpointOf } from './logs.ts';

type Stores = Pick<Collections, 'logs' | 'checkpoints'>;

/**
 * Lets every collection of metrics ask for how long records have waited for a signature while none was made. The time is that since this
 * process first saw them wait: what the database knows is when a log moved last, which says nothing of what waits longest.
 */
export function watchCheckpointAge(collections: Stores): Disposable {
  const waiting = new Map<string, { signed: number; since: number }>();
  const asked = askedOnce(() => longestWait(collections, waiting));
  return gauge('biz.audit.checkpoint.age', async () => [{ value: await asked() }]);
}

async function longestWait(collections: Stores, waiting: Map<string, { signed: number; since: number }>): Promise<number> {
  const logs = await collections.logs.find({ size: { $gt: 0 } }, { projection: { size: 1 } }).toArray();
  const ages = logs.map(async ({ _id, size }) => {
    const signed = (await checkpointOf(collections, _id))?.size ?? 0;
    if (signed >= size) {
      waiting.delete(_id);
      return 0;
    }
    const known = waiting.get(_id);
    const since = known?.signed === signed ? known.since : performance.now();
    waiting.set(_id, { signed, since });
    return (performance.now() - since) / 1_000;
  });
  return Math.max(0, ...(await Promise.all(ages)));
}
