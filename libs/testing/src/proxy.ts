import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

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
  await listening(server, 0);
  const own = (server.address() as AddressInfo).port;
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

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
}
