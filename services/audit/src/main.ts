import { createLog, runProcess } from '@biz/service';
import { auditConfig } from './config.ts';
import { createAudit } from './service.ts';

const log = createLog('audit', process.env.LOG_LEVEL);
await runProcess(log, () => createAudit(auditConfig(), log));
