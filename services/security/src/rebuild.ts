import { loadContract } from '@biz/protos';
import { runRebuild } from '@biz/resource';
import { toldMark } from './alerts/deliver.ts';
import { securityModels } from './models.ts';

const contract = loadContract();
await runRebuild({ name: 'security', contract, models: securityModels(contract), marks: [toldMark] });
