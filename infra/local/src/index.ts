export { cached, cacheFolder } from './cache.ts';
export { fetchBy } from './command.ts';
export { goEnvironment } from './engines/collector.ts';
export {
  auditTopic,
  databaseOf,
  deadLetterTopic,
  type Fleet,
  gatewayName,
  gatewaySpec,
  type ServiceEntry,
  serviceSpec,
  services,
} from './fleet.ts';
export { type LaunchedFleet, launchFleet } from './launch.ts';
export { layoutOf, repository } from './layout.ts';
export { seeder } from './people.ts';
export { freePort } from './ports.ts';
export { plainProgress } from './progress.ts';
export { makeSigningKey, realmOf } from './realm.ts';
export { type RunFile, readRunFile } from './run-file.ts';
export { keepPublicKey, keptSecret } from './secrets.ts';
export { seedIdentity } from './seed.ts';
export { locateTelemetry } from './telemetry.ts';
export { type Tool, tool, which } from './tools.ts';
export { ensureTopics } from './topics.ts';
export { pythonVenv } from './venv.ts';
