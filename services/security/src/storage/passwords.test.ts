import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { openElasticsearchStorage } from './elasticsearch.ts';
import { openPostgresqlStorage } from './postgresql.ts';

// engines that are away are waited for
const password = 'hunter2%40x';
/** As it stands in the header of basic authentication. */
const basic = Buffer.from('svc:hunter2@x').toString('base64');

/** What a log has of a storage that cannot be opened. */
async function logged(opening: Promise<AsyncDisposable>): Promise<string> {
  const lines: string[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(line) });
  await opening.then(
    () => expect.unreachable('it was opened'),
    (error: Error) => log.error({ err: error, cause: error.cause }, error.message),
  );
  return lines.join('');
}

async function refusing(status: number) {
  const server = createServer((_, response) =>
    response.writeHead(status, { 'content-type': 'application/json', 'x-elastic-product': 'Elasticsearch' }).end('{}'),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { port, [Symbol.dispose]: () => void server.close() };
}

it.each([401, 403, 500])('a password in ELASTICSEARCH_URL is in no log when it answers %i', async (status) => {
  using server = await refusing(status);
  const text = await logged(openElasticsearchStorage({ url: `http://svc:${password}@127.0.0.1:${server.port}`, index: 'x' }));
  expect(text).not.toMatch(/hunter2/);
  expect(text).not.toContain(basic);
});

it('nor when nobody listens there', async () => {
  const text = await logged(openElasticsearchStorage({ url: `http://svc:${password}@127.0.0.1:1`, index: 'x' }));
  expect(text).not.toMatch(/hunter2/);
  expect(text).not.toContain(basic);
});

it('a password in POSTGRESQL_URL is in no log', async () => {
  for (const url of [
    `postgres://svc:${password}@127.0.0.1:1/db`,
    `postgres://svc:${password}@127.0.0.1:99999/db`,
    `postgres://svc:${password}@nowhere.invalid/db`,
  ]) {
    expect(await logged(openPostgresqlStorage({ url }))).not.toMatch(/hunter2/);
  }
});
