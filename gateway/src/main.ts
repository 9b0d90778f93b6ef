import { createLog, runProcess, withSecrets } from '@biz/service';
import { readGatewayConfig, settingNames } from './config.ts';
import { startGateway } from './service.ts';

const log = createLog('gateway', process.env.LOG_LEVEL);

await runProcess(log, async () => startGateway(readGatewayConfig(await withSecrets(settingNames)), log));
