import { loadContract } from '@biz/protos';
import { runRebuild } from '@biz/resource';
import { defineEntities, storeModels } from './entities.ts';
import { syncMark } from './sync.ts';

const contract = loadContract();
await runRebuild({ name: 'identity', contract, models: storeModels(defineEntities(contract)), marks: [syncMark] });
