import type { Engine } from '../engine.ts';
import { cloudwatch } from './cloudwatch.ts';
import { collectorFor, whyNoCollector } from './collector.ts';
import { elasticsearch, elasticsearchFolder } from './elasticsearch.ts';
import { kafka } from './kafka.ts';
import { keycloak } from './keycloak.ts';
import { mail } from './mail.ts';
import { mongodb } from './mongodb.ts';
import { postgresql } from './postgresql.ts';

/** In the order in which they are begun: what takes longest to be ready comes first. */
export const allEngines: readonly Engine[] = [keycloak, kafka, mongodb, mail];

export { cloudwatch, collectorFor, elasticsearch, elasticsearchFolder, kafka, keycloak, mail, mongodb, postgresql, whyNoCollector };
