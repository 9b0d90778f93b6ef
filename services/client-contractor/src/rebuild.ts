import { loadContract } from '@biz/protos';
import { runRebuild } from '@biz/resource';
import { clientContractorModel } from './model.ts';

const contract = loadContract();
await runRebuild({ name: 'client-contractor', contract, models: [clientContractorModel(contract)] });
