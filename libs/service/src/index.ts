export { baseShape, readConfig, serviceShape } from './config.ts';
export { idAt, idFromKey, newId, rfc3339 } from './ids.ts';
export { type KafkaConfig, type KafkaConnection, kafkaConnection, kafkaShape } from './kafka.ts';
export { createLog, type Log } from './log.ts';
export { connectMongo, mongoTimeouts } from './mongo.ts';
export { assertRestored, foldedAfterRestore, type RestoreNote, unfinishedRestore } from './restored.ts';
export { drainMs, type RunningService, runProcess } from './run.ts';
export { withSecrets } from './setting.ts';
export { type TraceContext, traceContext } from './trace.ts';
