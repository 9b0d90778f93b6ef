import { createLog, runProcess } from '@biz/service';
import { readServiceConfig } from './config.ts';
import { startIdentity } from './service.ts';

const log = createLog('identity', process.env.LOG_LEVEL);
await runProcess(log, () => startIdentity(readServiceConfig(), log));
