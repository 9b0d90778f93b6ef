export { layoutOf } from './layout.ts';
export { type RunFile, readRunFile } from './run-file.ts';
