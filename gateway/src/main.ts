import { createLog, runProcess } from '@biz/service';
import { readGatewayConfig } from './config.ts';
import { startGateway } from './service.ts';

const log = createLog('gateway', process.env.LOG_LEVEL);

await runProcess(log, () => startGateway(readGatewayConfig(), log));
