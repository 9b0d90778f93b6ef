import { createLog, runProcess, withSecrets } from '@biz/service';
import { auditConfig, settingNames } from './config.ts';
import { createAudit } from './service.ts';

const log = createLog('audit', process.env.LOG_LEVEL);
await runProcess(log, async () => createAudit(auditConfig(await withSecrets(settingNames)), log));
