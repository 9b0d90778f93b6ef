import { Server, ServerCredentials, type ServerWritableStream, type ServiceDefinition } from '@grpc/grpc-js';

/** What a FLAGD_ADDRESS is to a provider: flagd's sync service (flagd.sync.v1.FlagSyncService/SyncFlags), which streams the whole set at each change. */
export interface TestFlagd extends AsyncDisposable {
  readonly address: string;
  /** Sends another set to all that listen. */
  set(flags: string): void;
}

type Stream = ServerWritableStream<Buffer, string>;

/** flagd is a Go program that no package registry used here gives; this one speaks its protocol, and the provider is the real one. */
export async function testFlagd(flags: string, listen = '127.0.0.1:0', tls?: { cert: Buffer; key: Buffer }): Promise<TestFlagd> {
  let current = flags;
  const streams = new Set<Stream>();
  const server = new Server();
  server.addService(service, {
    SyncFlags(stream: Stream) {
      streams.add(stream);
      stream.on('cancelled', () => streams.delete(stream));
      stream.write(current);
    },
  });
  const credentials = tls
    ? ServerCredentials.createSsl(null, [{ cert_chain: tls.cert, private_key: tls.key }])
    : ServerCredentials.createInsecure();
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(listen, credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  return {
    address: `${listen.split(':')[0]}:${port}`,
    set(text) {
      current = text;
      for (const stream of streams) stream.write(text);
    },
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
    },
  };
}

const service: ServiceDefinition = {
  SyncFlags: {
    path: '/flagd.sync.v1.FlagSyncService/SyncFlags',
    requestStream: false,
    responseStream: true,
    requestSerialize: (request: Buffer) => request,
    requestDeserialize: (bytes: Buffer) => bytes,
    // message SyncFlagsResponse { string flag_configuration = 1; }
    responseSerialize: (text: string) => Buffer.concat([Buffer.from([0x0a, ...varint(Buffer.byteLength(text))]), Buffer.from(text)]),
    responseDeserialize: (bytes: Buffer) => bytes.toString(),
  },
};

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}
