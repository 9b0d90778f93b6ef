import { collectionsOf } from '@biz/audit';
import { type Document, MongoClient } from 'mongodb';
import type { FilledStore } from './filled.ts';

/**
 * What the server says about the query on records that the service sends when this runs: index, keys looked at, whether it sorts. The very
 * command is caught on its way and explained, so that it is not a copy that is judged.
 */
export async function explained(store: FilledStore, run: (store: FilledStore) => Promise<unknown>): Promise<string> {
  const watched = await new MongoClient(store.mongodbUrl, { monitorCommands: true, ignoreUndefined: true }).connect();
  try {
    let find: Document | undefined;
    watched.on('commandStarted', ({ command }) => {
      if (command.find === 'records') find = command;
    });
    const db = watched.db(store.db.databaseName);
    await run({ ...store, db, collections: collectionsOf(db) });
    if (find === undefined) return 'no query on records was sent';
    const { lsid: _, $clusterTime: __, $db: ___, maxTimeMS: ____, ...query } = find;
    return summary(await db.command({ explain: query, verbosity: 'executionStats' }));
  } catch (error) {
    return `the server does not explain it: ${error instanceof Error ? error.message : error}`;
  } finally {
    await watched.close();
  }
}

function summary(plan: Document): string {
  const stages: string[] = [];
  for (let stage: Document | undefined = plan.queryPlanner?.winningPlan; stage; stage = stage.inputStage) {
    stages.unshift(stage.indexName ? `${stage.stage} ${stage.indexName}` : String(stage.stage));
  }
  const { totalKeysExamined, nReturned } = plan.executionStats ?? {};
  return `explain: ${stages.join(', ')}; ${totalKeysExamined} keys for ${nReturned} records`;
}
