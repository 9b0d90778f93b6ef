import { readFileSync } from 'node:fs';
import type { PeerCertificate } from 'node:tls';
import { type ChannelCredentials, credentials, ServerCredentials } from '@grpc/grpc-js';

/** Paths of PEM files: the fleet's authority, and this process's own certificate and key. */
export type TlsFiles = { readonly caFile: string; readonly certFile: string; readonly keyFile: string };

/** Every certificate of the fleet names its process by this URI (SPIFFE ID), in the subject alternative names. */
const identityPrefix = 'spiffe://biz-retail/';

/** Mutual TLS for a server: a client without a certificate of our authority does not get past the handshake. */
export function serverCredentials(files: TlsFiles): ServerCredentials {
  const { ca, cert, key } = read(files);
  return ServerCredentials.createSsl(ca, [{ cert_chain: cert, private_key: key }], true);
}

/** Mutual TLS for a client that talks to one process of the fleet and to no other, whatever host it is on. */
export function clientCredentials(files: TlsFiles, process: string): ChannelCredentials {
  const { ca, cert, key } = read(files);
  return credentials.createSsl(ca, key, cert, {
    checkServerIdentity: (_host, certificate) => {
      const name = processOf(certificate);
      return name === process ? undefined : new Error(`The certificate is of "${name ?? 'nobody'}", not of "${process}".`);
    },
  });
}

/** The process that a certificate names, or undefined. */
export function processOf(certificate: PeerCertificate | undefined): string | undefined {
  const names = (certificate?.subjectaltname ?? '').split(', ');
  const uri = names.find((name) => name.startsWith(`URI:${identityPrefix}`));
  return uri?.slice(`URI:${identityPrefix}`.length);
}

function read(files: TlsFiles): { ca: Buffer; cert: Buffer; key: Buffer } {
  return { ca: readFileSync(files.caFile), cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) };
}
