import { engines, uniqueName } from '@biz/testing';
import { Client } from '@elastic/elasticsearch';
import { conformance } from './conformance.ts';
import { openElasticsearchStorage } from './elasticsearch.ts';

conformance('elasticsearch', async () => {
  const index = uniqueName('security').toLowerCase();
  const url = engines().elasticsearchUrl;
  const client = new Client({ node: url });
  return {
    open: () => openElasticsearchStorage({ url, index }),
    settled: async () => void (await client.indices.refresh({ index })),
    raw: async () => JSON.stringify(await client.search({ index, size: 10_000 })),
    async [Symbol.asyncDispose]() {
      await client.indices.delete({ index });
      await client.close();
    },
  };
});
