import type pg from 'pg';

/** Any number; who migrates this schema holds the lock of it. */
const LOCK = 7_236_114;

/** Each is applied once, in order; what was released is never changed, only followed by another. Ids are ASCII and ordered by bytes. */
const migrations: readonly string[] = [
  `CREATE TABLE security_events (
     event_id text COLLATE "C" PRIMARY KEY,
     occurred_at timestamptz(3) NOT NULL,
     received_at timestamptz(3) NOT NULL,
     event_type text NOT NULL,
     severity text NOT NULL,
     user_id text,
     company_id text,
     client_id text,
     user_email text,
     ip text,
     ip_index text,
     user_agent text,
     anonymized boolean NOT NULL,
     document json NOT NULL
   );
   CREATE INDEX security_events_time ON security_events (occurred_at, event_id);
   CREATE INDEX security_events_user_time ON security_events (user_id, occurred_at, event_id);
   CREATE INDEX security_events_company_time ON security_events (company_id, occurred_at, event_id);
   CREATE INDEX security_events_type_time ON security_events (event_type, occurred_at, event_id);
   CREATE INDEX security_events_severity_time ON security_events (severity, occurred_at, event_id);
   CREATE INDEX security_events_ip_time ON security_events (ip_index, occurred_at, event_id);`,
];

/** Brings the schema up to date: in one transaction, one process at a time. */
export async function migrate(pool: pg.Pool): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock($1)', [LOCK]);
    await client.query('CREATE TABLE IF NOT EXISTS security_migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL)');
    const { rows } = await client.query<{ version: number }>('SELECT coalesce(max(version), 0) AS version FROM security_migrations');
    const done = rows[0]?.version ?? 0;
    for (const [index, statements] of migrations.entries()) {
      if (index < done) continue;
      await client.query(statements);
      await client.query('INSERT INTO security_migrations VALUES ($1, now())', [index + 1]);
    }
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}
