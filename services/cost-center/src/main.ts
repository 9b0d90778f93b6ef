import { createLog, runProcess, withSecrets } from '@biz/service';
import { readServiceConfig, settingNames } from './config.ts';
import { startCostCenter } from './service.ts';

const log = createLog('cost-center', process.env.LOG_LEVEL);
await runProcess(log, async () => startCostCenter(readServiceConfig(await withSecrets(settingNames)), log));
