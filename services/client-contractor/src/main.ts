import { createLog, runProcess } from '@biz/service';
import { readServiceConfig } from './config.ts';
import { startService } from './service.ts';

const log = createLog('client-contractor', process.env.LOG_LEVEL);
await runProcess(log, () => startService(readServiceConfig(), log));
