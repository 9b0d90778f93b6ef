export { type CommandName, shapes } from './config.ts';
export { keyFolders, makeKeys } from './keys.ts';
