import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TlsFiles, tlsFolder } from '@biz/pki';

/** An authority and a certificate for each process named, in a temporary folder that disposing removes. */
export async function testTls(processes: readonly string[]): Promise<TestTls> {
  const folder = await mkdtemp(join(tmpdir(), 'biz-tls-'));
  const { caFile, tls } = await tlsFolder(folder, processes);
  return {
    ca: caFile,
    caFile,
    folder,
    tls,
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface TestTls extends AsyncDisposable {
  /** Path of the authority's certificate; the same as `caFile`. */
  ca: string;
  caFile: string;
  folder: string;
  /** The files of one process, usable as a server's and as a client's. */
  tls(process: string): TlsFiles;
}
