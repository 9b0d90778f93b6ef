import { isKeyName, type Signer, type Verifier } from './keys.ts';
import { decodeBase64, NoteError } from './note-error.ts';

/** Limits of a note that is opened: those of the Go implementation. */
const MAX_BYTES = 1_000_000;
const MAX_SIGNATURES = 100;

/** A note whose signatures were checked. */
export interface OpenedNote {
  /** The signed text, ending in a newline. */
  readonly text: string;
  /** The keys that signed it, of those that were asked for; at least one. */
  readonly signedBy: readonly Verifier[];
}

/** The text (it ends in a newline), an empty line, a line for each signature (C2SP signed-note). Throws NoteError `malformed_note`. */
export function signNote(text: string, signers: readonly Signer[]): string {
  assertText(text);
  if (!text.endsWith('\n')) throw new NoteError('malformed_note', 'the text does not end in a newline');
  return `${text}\n${signers.map((signer) => `${signer.sign(text)}\n`).join('')}`;
}

/**
 * The text of a note that at least one of these keys signed; signatures of unknown keys are skipped. Throws NoteError: `malformed_note`,
 * `invalid_signature` when one that claims to be of a known key is not, `no_known_signature`.
 */
export function openNote(note: string, verifiers: readonly Verifier[]): OpenedNote {
  if (Buffer.byteLength(note) > MAX_BYTES) throw new NoteError('malformed_note', `the note has more than ${MAX_BYTES} bytes`);
  assertText(note);
  const end = note.lastIndexOf('\n\n');
  if (end < 0 || !note.endsWith('\n')) throw new NoteError('malformed_note', 'the note has no text and signatures');
  const text = note.slice(0, end + 1);
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw new NoteError('malformed_note', `the note has more than ${MAX_SIGNATURES} signatures`);
  const signedBy = new Set<Verifier>();
  for (const { name, keyId, signature } of lines.map(parseSignature)) {
    const verifier = verifiers.find((candidate) => candidate.name === name && candidate.keyId === keyId);
    if (!verifier || signedBy.has(verifier)) continue;
    if (!verifier.verify(text, signature)) throw new NoteError('invalid_signature', `the signature of ${name} is not valid`);
    signedBy.add(verifier);
  }
  if (signedBy.size === 0) throw new NoteError('no_known_signature', 'none of the known keys signed the note');
  return { text, signedBy: [...signedBy] };
}

function parseSignature(line: string): { name: string; keyId: string; signature: Buffer } {
  const [, name, encoded] = /^— ([^ ]+) ([^ ]+)$/.exec(line) ?? [];
  const bytes = decodeBase64(encoded ?? '');
  if (name === undefined || !isKeyName(name) || !bytes || bytes.length < 5) {
    throw new NoteError('malformed_note', 'a signature line is malformed');
  }
  return { name, keyId: bytes.toString('hex', 0, 4), signature: bytes.subarray(4) };
}

function assertText(text: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a note must not hold
  if (!text.isWellFormed() || /[\0-\x09\x0b-\x1f]/.test(text)) {
    throw new NoteError('malformed_note', 'the note is not UTF-8 text or has a control character in it');
  }
}
