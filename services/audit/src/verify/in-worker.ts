import { Worker } from 'node:worker_threads';
import { AppError } from '@biz/errors';
import type { VerifyResult } from './verify.ts';

/** What a verification in a thread of its own needs: no key that signs or opens. */
export interface WorkerInput {
  mongodb_url: string;
  database: string;
  /** File of the checkpoints kept outside. */
  checkpoint_file: string | undefined;
  origin: string;
  public_key: Uint8Array;
  settle_ms: number;
}

/** How far it is, or how it ended. */
export type WorkerMessage =
  | { progress: { checked: number; total: number } }
  | { result: VerifyResult }
  | { error: string; unavailable: boolean };

/**
 * Verifies the store in a thread of its own: hashing a million records takes a minute of processor time, in which the consumer and the calls of this process go on.
 * Rejects when the store or the file cannot be read, or with the signal's reason.
 */
export function verifyInWorker(
  input: WorkerInput,
  options: { onProgress: (progress: { checked: number; total: number }) => void; signal: AbortSignal },
): Promise<VerifyResult> {
  const worker = new Worker(new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url), {
    workerData: input,
    // Sources run as they are in development; a thread does not take over how its process was told to resolve them.
    ...(import.meta.url.endsWith('.ts') && { execArgv: ['--conditions=source'] }),
  });
  const { promise, resolve, reject } = Promise.withResolvers<VerifyResult>();
  const abort = () => reject(options.signal.reason);
  options.signal.addEventListener('abort', abort, { once: true });
  worker.on('message', (message: WorkerMessage) => {
    if ('progress' in message) options.onProgress(message.progress);
    else if ('result' in message) resolve(message.result);
    else reject(message.unavailable ? new AppError('unavailable', message.error) : new Error(message.error));
  });
  worker.on('error', reject);
  worker.on('exit', (code) => reject(new Error(`the verification's thread ended with ${code}`)));
  if (options.signal.aborted) abort();
  return promise.finally(async () => {
    options.signal.removeEventListener('abort', abort);
    await worker.terminate();
  });
}
