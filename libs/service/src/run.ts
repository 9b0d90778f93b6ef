import { flushTelemetry } from '@biz/telemetry';
import type { Log } from './log.ts';

/** A service that runs: where it listens, and how it ends (drains, then closes what it opened). */
export type RunningService = AsyncDisposable & { readonly address: string };

/** How long a process may take to end after SIGTERM, in milliseconds (fault 24). */
export const drainMs = 10_000;

/** How long the telemetry that is still held may take of that at the end, in milliseconds; a collector that is away holds nobody up. */
const flushMs = 2_000;

/**
 * The life of a process: start, tell the supervisor that it is ready, wait for SIGTERM or SIGINT (or for the supervisor to go away),
 * dispose, exit 0. A failed start or an unforeseen error ends the process with 1, so that it is started again clean.
 */
export async function runProcess(log: Log, start: () => Promise<RunningService>): Promise<void> {
  let service: RunningService | undefined;
  const end = once(async (reason: string, code: number) => {
    log.info({ reason }, 'stopping');
    const latest = performance.now() + drainMs;
    const timer = setTimeout(() => exit(log, 1, 'did not drain in time', latest), drainMs).unref();
    try {
      await service?.[Symbol.asyncDispose]();
      clearTimeout(timer);
      await exit(log, code, 'stopped', latest);
    } catch (error) {
      log.error({ err: error }, 'failed to stop cleanly');
      await exit(log, 1, 'stopped', latest);
    }
  });
  process.on('SIGTERM', () => end('SIGTERM', 0));
  process.on('SIGINT', () => end('SIGINT', 0));
  process.on('disconnect', () => end('the supervisor is gone', 0));
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught exception');
    end('uncaught exception', 1);
  });
  process.on('unhandledRejection', (error) => {
    log.fatal({ err: error }, 'unhandled rejection');
    end('unhandled rejection', 1);
  });
  try {
    service = await start();
    log.info({ address: service.address }, 'ready');
    process.send?.({ ready: true, address: service.address });
  } catch (error) {
    log.fatal({ err: error }, `could not start: ${error instanceof Error ? error.message : String(error)}`);
    end('failed start', 1);
  }
}

/** `latest` is when the process must have ended; what it still tells of itself has at least a moment. */
async function exit(log: Log, code: number, message: string, latest: number): Promise<void> {
  log.info({ code }, message);
  log.flush();
  await flushTelemetry(Math.max(250, Math.min(flushMs, latest - performance.now())));
  process.exit(code);
}

function once(run: (reason: string, code: number) => Promise<void>): (reason: string, code: number) => void {
  let called = false;
  return (reason, code) => {
    if (called) return;
    called = true;
    void run(reason, code);
  };
}
