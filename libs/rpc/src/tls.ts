import type { PeerCertificate } from 'node:tls';
import { type ChannelCredentials, experimental, type ServerCredentials } from '@grpc/grpc-js';
import { type Certificate, type CertificateLog, type Certificates, watchCertificates } from './certificates.ts';

/** Paths of PEM files: the fleet's authority, and this process's own certificate and key. They may change: see watchCertificates. */
export type TlsFiles = { readonly caFile: string; readonly certFile: string; readonly keyFile: string; readonly reloadMs?: number };

/** Every certificate of the fleet names its process by this URI (SPIFFE ID), in the subject alternative names. */
const identityPrefix = 'spiffe://biz-retail/';

/**
 * Mutual TLS for a server: a client without a certificate of our authority does not get past the handshake. Files that change take effect
 * for new connections; those that are open go on.
 */
export function serverCredentials(files: TlsFiles, log?: CertificateLog): ServerCredentials {
  const provider = providerOf(watchCertificates(files, log));
  return experimental.createCertificateProviderServerCredentials(provider, provider, true);
}

/** Mutual TLS for a client that talks to one process of the fleet and to no other, whatever host it is on. Files may change, likewise. */
export function clientCredentials(files: TlsFiles, process: string): ChannelCredentials {
  const provider = providerOf(watchCertificates(files));
  return experimental.createCertificateProviderChannelCredentials(provider, provider, {
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

/** For grpc-js, which asks for the authority and the identity apart, and expects its first answer after it has asked. */
function providerOf(certificates: Certificates): experimental.CertificateProvider {
  const stops = new Map<object, () => void>();
  const listen = <Update>(listener: (update: Update) => void, told: (certificate: Certificate) => Update) => {
    const tell = (certificate: Certificate) => listener(told(certificate));
    stops.set(listener, certificates.onChange(tell));
    process.nextTick(() => stops.has(listener) && tell(certificates.current()));
  };
  const stop = (listener: object) => {
    stops.get(listener)?.();
    stops.delete(listener);
  };
  return {
    addCaCertificateListener: (listener) => listen(listener, ({ ca }) => ({ caCertificate: ca as Buffer })),
    removeCaCertificateListener: stop,
    addIdentityCertificateListener: (listener) => listen(listener, ({ cert, key }) => ({ certificate: cert, privateKey: key })),
    removeIdentityCertificateListener: stop,
  };
}
