import { createLog, runProcess, withSecrets } from '@biz/service';
import { readServiceConfig, settingNames } from './config.ts';
import { startService } from './service.ts';

const log = createLog('client-contractor', process.env.LOG_LEVEL);
await runProcess(log, async () => startService(readServiceConfig(await withSecrets(settingNames)), log));
