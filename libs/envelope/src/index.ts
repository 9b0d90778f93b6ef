export { metadataNames, metadataOf, rebuildEnvelope } from './metadata.ts';
export { envelopeOf, producerName } from './produce.ts';
export { defaultLimits, type EnvelopeLimits, type EnvelopeMessage, readEnvelope } from './read.ts';
export { lostAddress, sourceOf } from './source.ts';
export {
  type ActionType,
  actionTypes,
  type BlindIndexes,
  type DeadLetterCode,
  deadLetterCodes,
  type EventBlindIndexes,
  type EventMeta,
  type EventSource,
  type Fault,
  type ReadEvent,
  type ReadResult,
} from './types.ts';
