import { createLog, runProcess, withSecrets } from '@biz/service';
import { readServiceConfig, settingNames } from './config.ts';
import { startSecurity } from './service.ts';

const log = createLog('security', process.env.LOG_LEVEL);
await runProcess(log, async () => startSecurity(readServiceConfig(await withSecrets(settingNames)), log));
