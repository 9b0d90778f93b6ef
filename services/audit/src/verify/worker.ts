// The thread of a verification that was started by API, see in-worker.ts.
import { parentPort, workerData } from 'node:worker_threads';
import { isUnavailable } from '@biz/errors';
import type { Db } from 'mongodb';
import { connectToRead } from './connect.ts';
import type { WorkerInput, WorkerMessage } from './in-worker.ts';
import { LogKeys } from './log-keys.ts';
import { mongoSource } from './mongo-source.ts';
import { nothingOutside, type Outside, openOutside } from './outside.ts';
import { type VerifyResult, verifyAudit } from './verify.ts';

/** Often enough for somebody who waits. */
const TELL_EVERY_MS = 500;

const tell = (message: WorkerMessage) => parentPort?.postMessage(message);
try {
  tell({ result: await verify(workerData as WorkerInput) });
} catch (error) {
  tell({ error: error instanceof Error ? error.message : String(error), unavailable: isUnavailable(error) });
}

async function verify(input: WorkerInput): Promise<VerifyResult> {
  await using stack = new AsyncDisposableStack();
  const mongo = connectToRead(input.mongodb_url);
  stack.defer(() => mongo.close());
  const db = mongo.db(input.database);
  const outside = stack.use(await outsideOf(db, input.checkpoint_file));
  let told = 0;
  return await verifyAudit(mongoSource(db, outside), {
    keys: new LogKeys(input.origin, Buffer.from(input.public_key)),
    settleMs: input.settle_ms,
    onProgress: (progress) => {
      if (performance.now() - told < TELL_EVERY_MS) return;
      told = performance.now();
      tell({ progress });
    },
  });
}

/** Before anything was signed there is no file; later there must be one. */
async function outsideOf(db: Db, file: string | undefined): Promise<Outside & AsyncDisposable> {
  const nothing = { ...nothingOutside, [Symbol.asyncDispose]: () => Promise.resolve() };
  if (file === undefined) return nothing;
  try {
    return await openOutside(file);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (!isMissing || (await mongoSource(db, nothingOutside).checkpointLogs()).length > 0) throw error;
    return nothing;
  }
}
