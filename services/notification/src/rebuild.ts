import { loadContract } from '@biz/protos';
import { runRebuild } from '@biz/resource';
import { defineNotification, storeModel } from './entities.ts';

const contract = loadContract();
await runRebuild({ name: 'notification', contract, models: [storeModel(defineNotification(contract))] });
