import { loadContract } from '@biz/protos';
import { runRebuild } from '@biz/resource';
import { costCenterModel } from './rpc.ts';

const contract = loadContract();
await runRebuild({ name: 'cost-center', contract, models: [costCenterModel(contract)] });
