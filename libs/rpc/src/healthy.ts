import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { PeerCertificate } from 'node:tls';
import { Client, type MethodDefinition } from '@grpc/grpc-js';
import { service as health } from 'grpc-health-check';
import { clientCredentials, processOf, type TlsFiles } from './tls.ts';

/** Longest wait for the answer, in milliseconds. */
const patienceMs = 2_000;

type HealthCheck = MethodDefinition<object, { status: string }>;

/**
 * The health check of a container, whose prober has no certificate and so cannot ask a server over mutual TLS itself: asks this process's own
 * server with its own certificate (settings GRPC_LISTEN and TLS_…_FILE), by the standard health service (grpc.health.v1). Says in one line what
 * was answered, and sets the exit code: 0 for SERVING, 1 for anything else.
 */
export async function reportServing(env: NodeJS.ProcessEnv = process.env): Promise<void> {
  const status = await servingStatus(env).catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
  console.log(status);
  process.exitCode = status === 'SERVING' ? 0 : 1;
}

async function servingStatus(env: NodeJS.ProcessEnv): Promise<string> {
  const named = (name: string) => {
    const value = env[name];
    if (!value) throw new Error(`${name} is not set: the server cannot be asked.`);
    return value;
  };
  const files = { caFile: named('TLS_CA_FILE'), certFile: named('TLS_CERT_FILE'), keyFile: named('TLS_KEY_FILE') };
  return ask(loopback(named('GRPC_LISTEN')), files, await ownProcess(files));
}

/** A server that listens on every address is asked on this machine's own. */
function loopback(listen: string): string {
  return listen.replace(/^0\.0\.0\.0:/, '127.0.0.1:');
}

async function ownProcess({ certFile }: TlsFiles): Promise<string> {
  const { subjectAltName } = new X509Certificate(await readFile(certFile));
  const name = processOf({ subjectaltname: subjectAltName } as PeerCertificate);
  if (name === undefined) throw new Error(`The certificate in ${certFile} names no process of the fleet.`);
  return name;
}

async function ask(address: string, tls: TlsFiles, process: string): Promise<string> {
  const client = new Client(address, clientCredentials(tls, process), { 'grpc.ssl_target_name_override': process });
  try {
    return await healthOf(client, patienceMs);
  } finally {
    client.close();
  }
}

/** What a server answers for itself by the standard health service (grpc.health.v1), `SERVING` when all is well; rejects after `ms` milliseconds without an answer. */
export function healthOf(client: Client, ms: number): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = health.Check as unknown as HealthCheck;
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + ms;
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service: '' }, { deadline }, (error, answer) => {
      if (error) reject(error);
      else resolve(answer?.status ?? 'no answer');
    });
  });
}
