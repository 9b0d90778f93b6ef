import type { AddressInfo } from 'node:net';
import { type ParsedMail, simpleParser } from 'mailparser';
import { SMTPServer } from 'smtp-server';

export type TestMailServer = AsyncDisposable & {
  readonly url: string;
  readonly received: ParsedMail[];
  /** Refuses the next messages with these reply codes, one each, after their content was read. */
  refuseNext(...codes: number[]): void;
};

/** A real SMTP server on a free port that keeps what it takes. */
export async function testMailServer(): Promise<TestMailServer> {
  const received: ParsedMail[] = [];
  const refusals: number[] = [];
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    logger: false,
    // connections that wait for a further mail
    closeTimeout: 50,
    onData(stream, _session, done) {
      simpleParser(stream).then((mail) => {
        const code = refusals.shift();
        if (code !== undefined) return done(Object.assign(new Error(`${code >= 500 ? '5' : '4'}.7.0 not now`), { responseCode: code }));
        received.push(mail);
        return done();
      }, done);
    },
  });
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    received,
    refuseNext: (...codes) => refusals.push(...codes),
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
