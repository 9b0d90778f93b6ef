import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Engine, portOf } from '../engine.ts';
import { pythonVenv } from '../venv.ts';

const VERSION = '5.2.5';

/** AWS services as the moto server tells them, in memory: the real API for the official clients. For tests of the CloudWatch Logs storage. */
export const cloudwatch: Engine = {
  name: 'cloudwatch',
  version: VERSION,
  variable: 'CLOUDWATCH_ENDPOINT',
  ports: ['cloudwatch'],
  address: (ports) => `http://127.0.0.1:${portOf(ports, 'cloudwatch')}`,
  answers: async (address) => (await fetch(`${address}/moto-api/data.json`, { signal: AbortSignal.timeout(2_000) })).ok,

  async install({ cache, progress }) {
    const home = await pythonVenv({
      ...{ cache, progress, name: `moto-${VERSION}`, requirement: `moto[server]==${VERSION}`, proof: ['moto_server', '--help'] },
      why: 'run an emulator of AWS services',
    });
    return { home };
  },

  async process({ home, dataDir, ports }) {
    await mkdir(dataDir, { recursive: true });
    return {
      name: 'cloudwatch',
      layer: 'engines',
      command: join(home, 'bin', 'moto_server'),
      args: ['-H', '127.0.0.1', '-p', String(portOf(ports, 'cloudwatch'))],
      ready: () => cloudwatch.answers(cloudwatch.address(ports)),
      readyWithinMs: 120_000,
      stopWithinMs: 5_000,
    };
  },
};
