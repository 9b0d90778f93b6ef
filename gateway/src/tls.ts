import type { SecureContextOptions } from 'node:tls';
import { type Certificates, watchCertificates } from '@biz/rpc';
import type { Log } from '@biz/service';
import type { FastifyInstance } from 'fastify';
import type { GatewayConfig } from './config.ts';

/** The certificate shown to clients, as its files stand; throws when they cannot be used. */
export function ownCertificate(config: GatewayConfig, log: Log): Certificates {
  return watchCertificates(
    {
      certFile: config.GATEWAY_CERT_FILE ?? config.TLS_CERT_FILE,
      keyFile: config.GATEWAY_KEY_FILE ?? config.TLS_KEY_FILE,
      reloadMs: config.TLS_RELOAD_SECONDS * 1_000,
    },
    log,
  );
}

/** What a connection is made with: TLS 1.2 or later (ASVS 12.1.1). */
export function secureContext({ current }: Certificates): SecureContextOptions {
  const { cert, key } = current();
  return { cert, key, minVersion: 'TLSv1.2' };
}

/** New connections are made with a certificate as soon as its files are there; those that are open go on. */
export function followCertificate(app: FastifyInstance, certificates: Certificates): void {
  const { server } = app as unknown as { server: { setSecureContext(options: SecureContextOptions): void } };
  const stop = certificates.onChange(() => server.setSecureContext(secureContext(certificates)));
  app.addHook('onClose', async () => stop());
}
