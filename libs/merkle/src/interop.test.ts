// Another implementation of the same RFC, that of the Go checksum database, verifies what this library makes, and the other way round.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  consistencyProof,
  edgeRoot,
  generateSeed,
  inclusionProof,
  leafHash,
  openCheckpoint,
  signCheckpoint,
  signerOf,
  verifierOf,
} from './index.ts';
import { TiledLog } from './testing/tiled-log.ts';

const SIZE = 700;
const data = Array.from({ length: SIZE }, (_, index) => Buffer.from(`leaf ${index}`));
const leaves = data.map((leaf) => leafHash(leaf));
const log = new TiledLog().append(leaves, 100);
const roots = leaves.map((_, index) => edgeRoot(new TiledLog().append(leaves.slice(0, index + 1)).edge));

type Output = { Roots: string[]; Inclusion: boolean[]; Consistency: boolean[]; SamePaths: boolean; Text: string; Note: string };

describe('golang.org/x/mod/sumdb', () => {
  it('verifies our proofs and checkpoints, refuses changed ones, and signs what we open', async ({ skip }) => {
    const missing = whyNot();
    if (missing) skip(missing);
    const origin = 'example.com/audit/audit-0';
    const seed = generateSeed();
    const signer = signerOf(origin, seed);
    const checkpoint = { origin, size: SIZE, root: roots[SIZE - 1] as Buffer };
    const input = {
      Leaves: data,
      Inclusion: await inclusionClaims(),
      Consistency: await consistencyClaims(),
      Note: signCheckpoint(checkpoint, signer),
      VKey: signer.vkey,
      SKey: `PRIVATE+KEY+${origin}+${signer.vkey.split('+')[1]}+${Buffer.concat([Buffer.of(1), seed]).toString('base64')}`,
    };
    const output = runGo(input);
    expect(output.Roots).toEqual(roots.map((root) => root.toString('base64')));
    // every other claim is a changed one
    expect(output.Inclusion).toEqual(input.Inclusion.map((_, at) => at % 2 === 0));
    expect(output.Consistency).toEqual(input.Consistency.map((_, at) => at % 2 === 0));
    expect(output.SamePaths).toBe(true);
    expect(output.Text).toBe(`${origin}\n${SIZE}\n${checkpoint.root.toString('base64')}\n`);
    expect(output.Note).toBe(input.Note);
    expect(openCheckpoint(output.Note, [verifierOf(signer.vkey)])).toEqual(checkpoint);
  }, 600_000);
});

async function inclusionClaims() {
  const claims: object[] = [];
  for (const size of [1, 2, 3, 7, 255, 256, 257, 512, 699, SIZE]) {
    for (const index of [0, 1, Math.floor(size / 2), size - 1].filter((at) => at < size)) {
      const path = base64(await inclusionProof(index, size, log.read));
      const claim = { Index: index, Size: size, LeafHash: base64At(leaves, index), Root: base64At(roots, size - 1), Path: path };
      claims.push(claim, { ...claim, LeafHash: base64At(leaves, (index + 1) % SIZE) });
    }
  }
  return claims;
}

async function consistencyClaims() {
  const claims: object[] = [];
  for (const to of [2, 3, 7, 255, 256, 257, 512, 699, SIZE]) {
    for (const from of [1, 2, Math.floor(to / 2), to - 1].filter((size) => size > 0 && size < to)) {
      const path = base64(await consistencyProof(from, to, log.read));
      const claim = { From: from, To: to, FromRoot: base64At(roots, from - 1), ToRoot: base64At(roots, to - 1), Path: path };
      claims.push(claim, { ...claim, FromRoot: base64At(roots, from) });
    }
  }
  return claims;
}

function base64(hashes: readonly Buffer[]): string[] {
  return hashes.map((hash) => hash.toString('base64'));
}

function base64At(hashes: readonly Buffer[], at: number): string {
  return (hashes[at] as Buffer).toString('base64');
}

/** Runs the program with `go`. Buffers of `Leaves` become base64, which is what Go reads bytes from. */
function runGo(input: { Leaves: Buffer[] }): Output {
  const text = JSON.stringify({ ...input, Leaves: base64(input.Leaves) });
  const { status, stdout, stderr } = go(['run', '.'], text);
  if (status !== 0) throw new Error(`the Go program failed: ${stderr}`);
  return JSON.parse(stdout) as Output;
}

function whyNot(): string | undefined {
  if (go(['version']).error) return 'go is not on PATH';
  const fetched = go(['mod', 'download']);
  return fetched.status === 0 ? undefined : `golang.org/x/mod cannot be fetched: ${fetched.stderr}`;
}

function go(args: string[], stdin = '') {
  const env = { ...process.env, GOFLAGS: '-mod=readonly', GOTOOLCHAIN: 'local', GOWORK: 'off' };
  return spawnSync('go', args, { cwd: join(import.meta.dirname, '../interop'), input: stdin, encoding: 'utf8', env, timeout: 500_000 });
}
