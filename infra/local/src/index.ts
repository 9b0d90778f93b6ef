export { type LaunchedFleet, launchFleet } from './launch.ts';
export { layoutOf, repository } from './layout.ts';
export { makeSigningKey, realmOf } from './realm.ts';
export { type RunFile, readRunFile } from './run-file.ts';
export { type Tool, tool } from './tools.ts';
