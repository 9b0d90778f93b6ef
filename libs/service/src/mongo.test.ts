import { pino } from 'pino';
import { expect, it } from 'vitest';
import { connectMongo } from './index.ts';

const password = 'hunter2%40x';

it.each([
  ['nobody listens', `mongodb://svc:${password}@127.0.0.1:1/`],
  ['two servers, neither there', `mongodb://svc:${password}@127.0.0.1:1,127.0.0.1:2/?authSource=admin`],
  ['no such name', `mongodb+srv://svc:${password}@nowhere.invalid/`],
  ['the password is not escaped', `mongodb://svc:hunter2@x@127.0.0.1:1/`],
  ['another protocol', `mongo://svc:${password}@h/`],
  ['no host', `mongodb://svc:${password}@/db`],
  ['no such port', `mongodb://svc:${password}@h:99999/`],
  ['no such option', `mongodb://svc:${password}@h/?nonsense=1`],
])(
  'a password in MONGODB_URL is in no log when %s',
  async (_, url) => {
    const lines: string[] = [];
    const log = pino({}, { write: (line: string) => void lines.push(line) });
    try {
      const client = connectMongo(url, { appName: 'test' });
      await client.connect().finally(() => client.close());
    } catch (error) {
      // as runProcess says it
      log.fatal({ err: error }, `could not start: ${(error as Error).message}`);
    }
    expect(lines).toHaveLength(1);
    expect(lines.join('')).not.toContain('hunter2');
  },
  // a name server that does not answer is asked several times
  300_000,
);
