export { canonicalJson } from './canonical.ts';
export { type JsonChange, jsonDiff } from './diff.ts';
export { mergeInto, mergePatch } from './merge-patch.ts';
export { type ParseOptions, parseJson } from './parse.ts';
export { pointerSteps, valueAt } from './pointer.ts';
export {
  getOwn,
  isJsonObject,
  isRawNumber,
  JsonError,
  type JsonErrorCode,
  type JsonObject,
  type JsonValue,
  jsonPointer,
  type RawNumber,
  rawNumber,
  setOwn,
} from './types.ts';
export { decodeUtf8, sha256Hex } from './utf8.ts';
