import { randomInt } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';

export interface TestProxy extends AsyncDisposable {
  /** `host:port` to connect to instead of the server. */
  address: string;
  /** Cuts every connection and takes no more, until `up`. */
  down(): Promise<void>;
  up(): Promise<void>;
}

/** A way to a server (`host:port`) that a test can cut and mend, since the server itself is shared by all tests. */
export async function testProxy(target: string): Promise<TestProxy> {
  const { hostname, port } = new URL(`tcp://${target}`);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
    }
    near.pipe(far).pipe(near);
  });
  const own = await listeningSomewhere(server);
  const down = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  return {
    address: `127.0.0.1:${own}`,
    down,
    up: () => listening(server, own),
    [Symbol.asyncDispose]: down,
  };
}

/** On a port below those that systems give out: one of those may be somebody else's by the time that the proxy is up again. */
async function listeningSomewhere(server: Server): Promise<number> {
  for (let tries = 1; ; tries += 1) {
    const port = randomInt(10_000, 20_000);
    try {
      await listening(server, port);
      return port;
    } catch (error) {
      if (tries === 100) throw error;
    }
  }
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
}
