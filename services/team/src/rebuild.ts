import { loadContract } from '@biz/protos';
import { runRebuild } from '@biz/resource';
import { teamModel } from './model.ts';

const contract = loadContract();
await runRebuild({ name: 'team', contract, models: [teamModel(contract)] });
