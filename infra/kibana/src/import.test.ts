import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { importObjects } from './import.ts';

let server: Server;

afterEach(() => new Promise((resolve) => server.close(resolve)));

/** Kibana itself cannot run here: what it is asked, by the words of its API's description. */
async function answering(status: number, answer: object): Promise<{ url: string; asked: { path: string; xsrf: unknown; body: string }[] }> {
  const asked: { path: string; xsrf: unknown; body: string }[] = [];
  server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString();
    asked.push({ path: request.url ?? '', xsrf: request.headers['kbn-xsrf'], body });
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, asked };
}

test('objects go to the saved objects API as a file, and replace those of before', async () => {
  const { url, asked } = await answering(200, { success: true, successCount: 1 });
  await importObjects(url);
  expect(asked).toHaveLength(1);
  expect(asked[0]).toMatchObject({ path: '/api/saved_objects/_import?overwrite=true', xsrf: 'biz-retail' });
  expect(asked[0]?.body).toMatch(/name="file"; filename="biz-retail.ndjson"/);
  expect(asked[0]?.body).toContain('"id":"biz-traffic","type":"dashboard"');
});

test('a refusal, also of one object of many, is told in its own words', async () => {
  const { url } = await answering(200, { success: false, errors: [{ id: 'biz-traffic', error: { type: 'missing_references' } }] });
  await expect(importObjects(url)).rejects.toThrow(/biz-retail.ndjson.*missing_references/);
});
