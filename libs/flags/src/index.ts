export { expiredFlags, type FlagDefinition, type FlagKey, flags, flagsTemplate } from './flags.ts';
export type { FlagsLog } from './log.ts';
export { type FlagAnswer, type FlagContext, type Flags, type FlagsOptions, openFlags } from './open.ts';
export { type FlagsSettings, flagsShape } from './settings.ts';
