import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
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

  async install() {
    return { home: join(require.resolve('maildev/package.json'), '..', 'bin', 'maildev') };
  },

  async process({ home, dataDir, ports }) {
    await mkdir(dataDir, { recursive: true });
    const pages = mailPages(ports);
    return {
      name: 'mail',
      layer: 'engines',
      command: process.execPath,
      args: [
        home,
        ...['--ip', '127.0.0.1', '--smtp', String(portOf(ports, 'smtp'))],
        ...['--web-ip', '127.0.0.1', '--web', String(portOf(ports, 'mail')), '--mail-directory', dataDir, '--silent'],
      ],
      ready: async () => (await fetch(`${pages}/healthz`, { signal: AbortSignal.timeout(2_000) })).ok,
      readyWithinMs: 120_000,
      stopWithinMs: 5_000,
    };
  },
};

/** Address of the page with the messages; `/email` gives them as JSON. */
export function mailPages(ports: Ports): string {
  return `http://127.0.0.1:${portOf(ports, 'mail')}`;
}
