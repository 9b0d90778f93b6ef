import { createLog, runProcess, withSecrets } from '@biz/service';
import { readServiceConfig, settingNames } from './config.ts';
import { startNotification } from './service.ts';

const log = createLog('notification', process.env.LOG_LEVEL);
await runProcess(log, async () => startNotification(readServiceConfig(await withSecrets(settingNames)), log));
