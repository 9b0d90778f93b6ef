import { createLog, runProcess } from '@biz/service';
import { readServiceConfig } from './config.ts';
import { startCostCenter } from './service.ts';

const log = createLog('cost-center', process.env.LOG_LEVEL);
await runProcess(log, () => startCostCenter(readServiceConfig(), log));
