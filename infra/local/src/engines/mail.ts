import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Engine, type Ports, portOf } from '../engine.ts';

const require = createRequire(import.meta.url);
const { version } = require('maildev/package.json') as { version: string };

/** A mail catcher (maildev): takes every message over SMTP, sends none on, shows them on a page. */
export const mail: Engine = {
  name: 'mail',
  version,
  variable: 'SMTP_URL',
  ports: ['smtp', 'mail'],
  address: (ports) => `smtp://127.0.0.1:${portOf(ports, 'smtp')}`,
  answers: (address) => greets(new URL(address)),

  async install() {
    return { home: join(require.resolve('maildev/package.json'), '..', 'bin', 'maildev') };
  },

  async process({ home, dataDir, ports }) {
    await mkdir(dataDir, { recursive: true });
    return {
      name: 'mail',
      layer: 'engines',
      command: process.execPath,
      args: [
        home,
        ...['--ip', '127.0.0.1', '--smtp', String(portOf(ports, 'smtp'))],
        ...['--web-ip', '127.0.0.1', '--web', String(portOf(ports, 'mail')), '--mail-directory', dataDir, '--silent'],
      ],
      ready: () => mail.answers(mail.address(ports)),
      readyWithinMs: 120_000,
      stopWithinMs: 5_000,
    };
  },
};

/** Whether the server opens the conversation (RFC 5321, 3.1), or takes the connection when that is to be encrypted from the start. */
function greets({ protocol, hostname, port }: URL): Promise<boolean> {
  const encrypted = protocol === 'smtps:';
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port || (encrypted ? 465 : 25)), timeout: 2_000 });
    const answer = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('connect', () => encrypted && answer(true));
    socket.once('data', (bytes) => answer(bytes.toString().startsWith('220')));
    socket.once('timeout', () => answer(false));
    socket.once('error', () => answer(false));
  });
}

/** Address of the page with the messages; `/email` gives them as JSON. */
export function mailPages(ports: Ports): string {
  return `http://127.0.0.1:${portOf(ports, 'mail')}`;
}
