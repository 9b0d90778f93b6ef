import { createLog, runProcess } from '@biz/service';
import { readServiceConfig } from './config.ts';
import { startSecurity } from './service.ts';

const log = createLog('security', process.env.LOG_LEVEL);
await runProcess(log, () => startSecurity(readServiceConfig(), log));
