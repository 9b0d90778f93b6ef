import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the ranges that systems take a connection's own port from: a port from there may be gone when a process is started again. */
const FIRST = 20_000;
const LAST = 32_000;
const taken = new Set<number>();

/** A port that is free on loopback now, and that this process has not given out before. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = randomInt(FIRST, LAST);
    if (taken.has(port)) continue;
    taken.add(port);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port between ${FIRST} and ${LAST}`);
}

export function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
