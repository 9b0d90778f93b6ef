import { X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { issueCertificate, type KeyPair, makeAuthority } from './certificates.ts';

const AUTHORITY_DAYS = 3650;
const CERTIFICATE_DAYS = 397;
/** A certificate with less than this left is issued anew. */
const RENEW_BEFORE_MS = 30 * 24 * 60 * 60 * 1000;

/**
 * A folder with an authority and one certificate a process: what is there and still good is kept, the rest is made.
 * Every certificate is for this machine (`localhost`, 127.0.0.1, ::1), for the process's name as a host name, and carries `spiffe://biz-retail/<process>`, by
 * which a peer knows the process. All files have mode 600, the folder 700.
 */
export async function tlsFolder(folder: string, processes: readonly string[]): Promise<TlsFolder> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const authority = await keptAuthority(folder);
  await Promise.all(processes.map((process) => keepCertificate(folder, authority, process)));
  const caFile = join(folder, 'ca.pem');
  return {
    caFile,
    tls: (process) => ({ caFile, certFile: join(folder, `${process}.pem`), keyFile: join(folder, `${process}-key.pem`) }),
  };
}

/** The URI that names a process in its certificate. */
export function processUri(process: string): string {
  return `spiffe://biz-retail/${process}`;
}

async function keptAuthority(folder: string): Promise<KeyPair> {
  const kept = await readPair(folder, 'ca');
  if (kept && expiresLater(kept)) return kept;
  const made = await makeAuthority({ commonName: 'Biz Retail local authority', days: AUTHORITY_DAYS });
  await writePair(folder, 'ca', made);
  return made;
}

async function keepCertificate(folder: string, authority: KeyPair, process: string): Promise<void> {
  const kept = await readPair(folder, process);
  const issuer = new X509Certificate(authority.certificate);
  if (kept && expiresLater(kept) && new X509Certificate(kept.certificate).verify(issuer.publicKey)) return;
  const made = await issueCertificate(authority, {
    commonName: process,
    dns: ['localhost', process],
    ips: ['127.0.0.1', '::1'],
    uris: [processUri(process)],
    days: CERTIFICATE_DAYS,
  });
  await writePair(folder, process, made);
}

function expiresLater(pair: KeyPair): boolean {
  return new X509Certificate(pair.certificate).validToDate.getTime() - Date.now() > RENEW_BEFORE_MS;
}

async function readPair(folder: string, name: string): Promise<KeyPair | undefined> {
  try {
    const [certificate, key] = await Promise.all([
      readFile(join(folder, `${name}.pem`), 'utf8'),
      readFile(join(folder, `${name}-key.pem`), 'utf8'),
    ]);
    return { certificate, key };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The key first: a crash between the two leaves no certificate without its key. */
async function writePair(folder: string, name: string, pair: KeyPair): Promise<void> {
  await writeSecret(join(folder, `${name}-key.pem`), pair.key);
  await writeSecret(join(folder, `${name}.pem`), pair.certificate);
}

async function writeSecret(file: string, text: string): Promise<void> {
  const half = `${file}.${process.pid}.part`;
  await writeFile(half, text, { mode: 0o600 });
  await rename(half, file);
}

/** Paths of the authority's certificate, a process's certificate and its private key. */
export interface TlsFiles {
  caFile: string;
  certFile: string;
  keyFile: string;
}

export interface TlsFolder {
  caFile: string;
  tls(process: string): TlsFiles;
}
