export { expiredFlags, type FlagDefinition, type FlagKey, flags, flagsTemplate } from './flags.ts';
export { type FlagAnswer, type FlagContext, type Flags, type FlagsLog, type FlagsOptions, openFlags } from './open.ts';
export { type FlagsSettings, flagsShape } from './settings.ts';
