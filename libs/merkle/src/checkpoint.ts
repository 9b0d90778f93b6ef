import { assertHashes, assertSize } from './hash.ts';
import type { Signer, Verifier } from './keys.ts';
import { openNote, signNote } from './note.ts';
import { decodeBase64, NoteError } from './note-error.ts';

/** What a log says of itself: its tree of `size` leaves has this root. */
export interface Checkpoint {
  /** Which log: the name that its key signs under. */
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

/**
 * The checkpoint as a signed note (C2SP tlog-checkpoint): origin, size, root in base64, a line each. Throws NoteError `wrong_origin` when
 * the signer has another name than the origin, RangeError for a size or root that cannot be.
 */
export function signCheckpoint({ origin, size, root }: Checkpoint, signer: Signer): string {
  assertSize(size);
  assertHashes([root]);
  if (signer.name !== origin) throw new NoteError('wrong_origin', `the key of ${signer.name} does not sign for ${origin}`);
  return signNote(`${origin}\n${size}\n${root.toString('base64')}\n`, [signer]);
}

/**
 * The checkpoint in a note, signed by a key of its origin: a log's key cannot speak for another log, even when they share a seed. Further
 * lines of the text (extensions) are covered by the signature and otherwise ignored. Throws NoteError, which names the fault.
 */
export function openCheckpoint(note: string, verifiers: readonly Verifier[]): Checkpoint {
  const { text, signedBy } = openNote(note, verifiers);
  const [origin = '', sizeText = '', rootText = '', ...extensions] = text.slice(0, -1).split('\n');
  const size = Number(sizeText);
  const root = decodeBase64(rootText);
  if (
    origin === '' ||
    !/^(0|[1-9][0-9]*)$/.test(sizeText) ||
    !Number.isSafeInteger(size) ||
    root?.length !== 32 ||
    extensions.includes('')
  ) {
    throw new NoteError('malformed_checkpoint', 'the note is no checkpoint: origin, size and root, a line each');
  }
  if (!signedBy.some(({ name }) => name === origin)) {
    throw new NoteError('wrong_origin', `the checkpoint is not signed by a key of its origin`);
  }
  return { origin, size, root };
}
