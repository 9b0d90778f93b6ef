import { createLog, runProcess } from '@biz/service';
import { readServiceConfig } from './config.ts';
import { startNotification } from './service.ts';

const log = createLog('notification', process.env.LOG_LEVEL);
await runProcess(log, () => startNotification(readServiceConfig(), log));
