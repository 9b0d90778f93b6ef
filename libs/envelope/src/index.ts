export { metadataNames, metadataOf, rebuildEnvelope } from './metadata.ts';
export { envelopeOf } from './produce.ts';
export { defaultLimits, type EnvelopeLimits, type EnvelopeMessage, readEnvelope } from './read.ts';
export {
  type ActionType,
  actionTypes,
  type BlindIndexes,
  type DeadLetterCode,
  deadLetterCodes,
  type EventMeta,
  type EventSource,
  type Fault,
  type ReadEvent,
  type ReadResult,
} from './types.ts';
