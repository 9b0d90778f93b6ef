import { createLog, runProcess, withSecrets } from '@biz/service';
import { readServiceConfig, settingNames } from './config.ts';
import { startIdentity } from './service.ts';

const log = createLog('identity', process.env.LOG_LEVEL);
await runProcess(log, async () => startIdentity(readServiceConfig(await withSecrets(settingNames)), log));
