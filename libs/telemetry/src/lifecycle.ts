/** What the preload leaves for the end of a process. */
let flush: (() => Promise<void>) | undefined;

/** For the preload: how to send what is still held. */
export function onFlush(send: () => Promise<void>): void {
  flush = send;
}

/**
 * Sends what is still held; resolves after `ms` milliseconds at the latest, and never rejects. At once when telemetry is off. To be called
 * before `process.exit`, which sends nothing.
 */
export async function flushTelemetry(ms: number): Promise<void> {
  if (!flush) return;
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([flush().catch(() => {}), late]);
  clearTimeout(timer);
}
