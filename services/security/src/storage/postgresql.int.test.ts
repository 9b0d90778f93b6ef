import { engines, uniqueName } from '@biz/testing';
import pg from 'pg';
import { conformance } from './conformance.ts';
import { openPostgresqlStorage } from './postgresql.ts';

conformance('postgresql', async () => {
  const name = uniqueName('security').replaceAll('-', '_');
  const url = new URL(engines().postgresqlUrl);
  const asked = async (database: string, text: string) => {
    const client = new pg.Client({ connectionString: Object.assign(new URL(url), { pathname: `/${database}` }).href });
    await client.connect();
    try {
      return (await client.query(text)).rows;
    } finally {
      await client.end();
    }
  };
  await asked('postgres', `CREATE DATABASE ${name}`);
  return {
    open: () => openPostgresqlStorage({ url: Object.assign(new URL(url), { pathname: `/${name}` }).href }),
    settled: async () => undefined,
    raw: async () => JSON.stringify(await asked(name, 'SELECT * FROM security_events')),
    async [Symbol.asyncDispose]() {
      await asked('postgres', `DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
});
