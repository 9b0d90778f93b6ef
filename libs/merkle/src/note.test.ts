import { describe, expect, it } from 'vitest';
import {
  EMPTY_ROOT,
  generateSeed,
  leafHash,
  NoteError,
  openCheckpoint,
  openNote,
  signCheckpoint,
  signerOf,
  signNote,
  verifierOf,
} from './index.ts';

function fault(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof NoteError) return error.fault;
    throw error;
  }
  return 'none';
}

// The example of golang.org/x/mod/sumdb/note, with the seed out of its private key.
const peter = {
  vkey: 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
  seed: Buffer.from('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz', 'base64').subarray(1),
  text: "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
  signature: '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n',
};
const note = `${peter.text}\n${peter.signature}`;
const verifier = verifierOf(peter.vkey);

describe('signed notes', () => {
  it('are those of the Go implementation, byte for byte', () => {
    const signer = signerOf('PeterNeumann', peter.seed);
    expect(signer.vkey).toBe(peter.vkey);
    expect(signer.publicKey.toString('base64')).toBe('GlzZBxQ8OExB6DDFvOEqqIF+xWSaqr8sMTiLNbLXRNY=');
    expect(signNote(peter.text, [signer])).toBe(note);
    expect(openNote(note, [verifier])).toEqual({ text: peter.text, signedBy: [verifier] });
  });

  it('may have signatures of keys that nobody here knows', () => {
    const other = signerOf('example.com/witness', generateSeed());
    const both = signNote(peter.text, [other, signerOf('PeterNeumann', peter.seed)]);
    expect(openNote(both, [verifier]).signedBy).toEqual([verifier]);
    expect(openNote(both, [verifierOf(other.vkey), verifier]).signedBy).toHaveLength(2);
    // a key of the same name with another id is another key
    expect(fault(() => openNote(note, [verifierOf(signerOf('PeterNeumann', generateSeed()).vkey)]))).toBe('no_known_signature');
    expect(fault(() => openNote(note, []))).toBe('no_known_signature');
  });

  it('do not open with any one bit changed', () => {
    const bytes = Buffer.from(note);
    const opened: string[] = [];
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const wrong = Buffer.from(bytes);
      wrong[bit >> 3] = (wrong[bit >> 3] as number) ^ (1 << (bit & 7));
      if (fault(() => openNote(wrong.toString(), [verifier])) === 'none') opened.push(wrong.toString());
    }
    expect(opened).toEqual([]);
  });

  it.each([
    ['nothing', ''],
    ['no signature', peter.text],
    ['an empty signature part', `${peter.text}\n`],
    ['no newline at the end', note.slice(0, -1)],
    ['a carriage return', note.replaceAll('\n', '\r\n')],
    ['a NUL', `\0${note}`],
    ['a lone surrogate', `\ud800${note}`],
    ['another dash', note.replace('—', '-')],
    ['two spaces', note.replace('PeterNeumann ', 'PeterNeumann  ')],
    ['base64 without padding', note.replace('AM=', 'AM')],
    ['base64 with spare bits set', note.replace('AM=', 'AN=')],
    ['a short signature', `${peter.text}\n— PeterNeumann x08goA==\n`],
    ['a plus in a name', `${note}— a+b x08gowAA\n`],
    ['a space in a name', `${note}— a\u00a0b x08gowAA\n`],
    ['too many signatures', note + peter.signature.repeat(100)],
    ['too many bytes', `${'x'.repeat(1_000_000)}\n${note}`],
  ])('are malformed with %s', (_, text) => {
    expect(fault(() => openNote(text, [verifier]))).toBe('malformed_note');
  });

  it('with a forged signature are refused, even beside a good one', () => {
    const forged = note.replace('x08go/Z', 'x08go/a');
    expect(fault(() => openNote(forged, [verifier]))).toBe('invalid_signature');
    const other = signerOf('example.com/witness', generateSeed());
    const beside = `${signNote(peter.text, [other])}${forged.slice(peter.text.length + 1)}`;
    expect(fault(() => openNote(beside, [verifierOf(other.vkey), verifier]))).toBe('invalid_signature');
  });

  it('are not made of a text that could not be opened', () => {
    for (const text of ['', 'no newline', 'tab\t\n', '\ud800\n']) expect(fault(() => signNote(text, []))).toBe('malformed_note');
  });
});

describe('keys', () => {
  it('whose base64 holds a plus are read (a key of transparency-dev/formats)', () => {
    expect(verifierOf('TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6')).toMatchObject({ name: 'TEST', keyId: '7997405c' });
  });

  it.each([
    ['no parts', 'PeterNeumann'],
    ['another name', peter.vkey.replace('Peter', 'Petra')],
    ['another id', peter.vkey.replace('c74f20a3', 'c74f20a4')],
    ['another algorithm', peter.vkey.replace('+AR', '+BR')],
    ['a short key', peter.vkey.slice(0, -4)],
    ['no name', peter.vkey.replace('PeterNeumann', '')],
    ['a space in the name', peter.vkey.replace('PeterNeumann', 'Peter Neumann')],
    ['bad base64', `${peter.vkey}!`],
  ])('with %s are malformed', (_, vkey) => {
    expect(fault(() => verifierOf(vkey))).toBe('malformed_key');
  });

  it('need a name without space or plus, and 32 bytes', () => {
    for (const name of ['', 'a b', 'a+b', 'a\nb', '\ud800']) expect(fault(() => signerOf(name, generateSeed()))).toBe('malformed_key');
    expect(() => signerOf('a', Buffer.alloc(31))).toThrow(RangeError);
  });
});

describe('checkpoints', () => {
  const seed = generateSeed();
  const [one, two] = [signerOf('example.com/log-1', seed), signerOf('example.com/log-2', seed)];
  const checkpoint = { origin: one.name, size: 20_852_163, root: leafHash('root') };
  const known = [verifierOf(one.vkey), verifierOf(two.vkey)];
  const signed = (text: string, ...signers: (typeof one)[]) => signNote(text, signers);
  const root = checkpoint.root.toString('base64');

  it('are three lines and a signature, and open to what was signed', () => {
    const text = signCheckpoint(checkpoint, one);
    expect(text.split('\n').slice(0, 4)).toEqual(['example.com/log-1', '20852163', root, '']);
    expect(openCheckpoint(text, known)).toEqual(checkpoint);
    expect(openCheckpoint(signCheckpoint({ ...checkpoint, size: 0, root: EMPTY_ROOT }, one), known).size).toBe(0);
  });

  it('of one log cannot be signed with the name of another, though the seed is the same', () => {
    expect(fault(() => signCheckpoint(checkpoint, two))).toBe('wrong_origin');
    expect(fault(() => openCheckpoint(signed(`${one.name}\n5\n${root}\n`, two), known))).toBe('wrong_origin');
    expect(openCheckpoint(signed(`${one.name}\n5\n${root}\n`, two, one), known).size).toBe(5);
  });

  it('may have extension lines, which are not empty', () => {
    expect(openCheckpoint(signed(`${one.name}\n5\n${root}\nmore\n`, one), known).size).toBe(5);
    expect(fault(() => openCheckpoint(signed(`${one.name}\n5\n${root}\n\nmore\n`, one), known))).toBe('malformed_checkpoint');
  });

  it.each([
    ['no lines', 'x\n'],
    ['an empty origin', `\n5\n${root}\n`],
    ['a leading zero', `${one.name}\n05\n${root}\n`],
    ['a sign', `${one.name}\n-5\n${root}\n`],
    ['a size beyond exact numbers', `${one.name}\n9007199254740993\n${root}\n`],
    ['a short root', `${one.name}\n5\n${root.slice(4)}\n`],
    ['a root in hex', `${one.name}\n5\n${checkpoint.root.toString('hex')}\n`],
  ])('with %s are malformed', (_, text) => {
    expect(fault(() => openCheckpoint(signed(text, one), known))).toBe('malformed_checkpoint');
  });

  it('are not made of a size or root that cannot be', () => {
    expect(() => signCheckpoint({ ...checkpoint, size: -1 }, one)).toThrow(RangeError);
    expect(() => signCheckpoint({ ...checkpoint, root: Buffer.alloc(20) }, one)).toThrow(RangeError);
  });
});
