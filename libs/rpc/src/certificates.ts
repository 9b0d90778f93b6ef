import { hash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';

/** PEM files of a certificate (its chain after it) and its key; with an authority, whose certificate it must be. */
export type CertificateFiles = {
  readonly caFile?: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly reloadMs?: number;
};

export type Certificate = { readonly ca: Buffer | undefined; readonly cert: Buffer; readonly key: Buffer };

export type CertificateLog = { info(data: object, message: string): void; error(data: object, message: string): void };

export type Certificates = {
  /** The last usable one. */
  current(): Certificate;
  /** Calls back with each usable one that takes its place, until the returned function is called. Files are looked at while anybody listens. */
  onChange(listener: (certificate: Certificate) => void): () => void;
};

/** How often files are looked at, in milliseconds, when nothing else is said. Polled: a mounted secret is swapped by a link, which watching misses. */
const defaultReloadMs = 10_000;

/**
 * A certificate that is read again when its files change. One that cannot be used (half-written, expired, of another authority, a key of
 * another certificate) is logged once and the former stays. Throws when the first one cannot be used.
 */
export function watchCertificates(files: CertificateFiles, log?: CertificateLog): Certificates {
  let current = readNow(files);
  let seen = fingerprint(current);
  const listeners = new Set<(certificate: Certificate) => void>();
  let timer: NodeJS.Timeout | undefined;
  const look = async () => {
    const [outcome] = await Promise.allSettled([readAll(files)]);
    const mark = outcome.status === 'fulfilled' ? fingerprint(outcome.value) : String(outcome.reason);
    if (mark === seen) return;
    seen = mark;
    try {
      if (outcome.status === 'rejected') throw outcome.reason;
      assertUsable(outcome.value);
      current = outcome.value;
    } catch (error) {
      log?.error({ file: files.certFile, detail: (error as Error).message }, 'a new certificate cannot be used; the former stays');
      return;
    }
    const { serialNumber, validTo } = new X509Certificate(current.cert);
    log?.info({ file: files.certFile, serialNumber, validTo }, 'a new certificate is used from now on');
    for (const listener of listeners) listener(current);
  };
  const again = () => {
    timer = setTimeout(() => void look().finally(() => timer && again()), files.reloadMs ?? defaultReloadMs).unref();
  };
  return {
    current: () => current,
    onChange: (listener) => {
      listeners.add(listener);
      if (!timer) {
        again();
        void look(); // nobody looked while nobody listened
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        clearTimeout(timer);
        timer = undefined;
      };
    },
  };
}

function readNow(files: CertificateFiles): Certificate {
  const [ca, cert, key] = [files.caFile, files.certFile, files.keyFile].map((file) => file && readFileSync(file));
  const certificate = { ca, cert, key } as Certificate;
  try {
    assertUsable(certificate);
  } catch (error) {
    throw new Error(`The certificate of ${files.certFile} cannot be used: ${(error as Error).message}`, { cause: error });
  }
  return certificate;
}

async function readAll({ caFile, certFile, keyFile }: CertificateFiles): Promise<Certificate> {
  const [ca, cert, key] = await Promise.all([caFile === undefined ? undefined : readFile(caFile), readFile(certFile), readFile(keyFile)]);
  return { ca, cert, key };
}

function assertUsable({ ca, cert, key }: Certificate): void {
  createSecureContext({ cert, key, ...(ca && { ca }) }); // throws when one is no PEM, or the key is of another certificate
  const chain = certificatesIn(cert);
  const [own] = chain;
  if (!own || own.validToDate.getTime() <= Date.now()) throw new Error('It has expired.');
  const last = chain.at(-1) as X509Certificate;
  if (ca && !certificatesIn(ca).some((authority) => last.verify(authority.publicKey))) throw new Error('It is of another authority.');
}

function certificatesIn(pem: Buffer): X509Certificate[] {
  const blocks = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

function fingerprint({ ca, cert, key }: Certificate): string {
  return hash('sha256', Buffer.concat([ca ?? Buffer.alloc(0), cert, key]));
}
