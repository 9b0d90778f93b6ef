/** What is wrong with a note or a key. */
export type NoteFault =
  | 'malformed_key'
  | 'malformed_note'
  | 'malformed_checkpoint'
  /** A signature under a known name and key id that is not that key's: the note was changed, or forged. */
  | 'invalid_signature'
  /** No known key signed it. */
  | 'no_known_signature'
  /** Signed by a known key, but not by the one named as the origin. */
  | 'wrong_origin';

/** A note, checkpoint or key is not what it should be; `fault` says which. */
export class NoteError extends Error {
  override readonly name = 'NoteError';
  readonly fault: NoteFault;

  constructor(fault: NoteFault, message: string) {
    super(message);
    this.fault = fault;
  }
}

/** Bytes of base64 (RFC 4648, section 4, with padding), or undefined: Node alone skips over what is not base64. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}
