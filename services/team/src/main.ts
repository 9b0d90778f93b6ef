import { createLog, runProcess } from '@biz/service';
import { readServiceConfig } from './config.ts';
import { startService } from './service.ts';

const log = createLog('team', process.env.LOG_LEVEL);
await runProcess(log, () => startService(readServiceConfig(), log));
