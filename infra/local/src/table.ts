import type { RunFile } from './run-file.ts';

/** The run file for people: addresses, then users. */
export function tableOf(run: RunFile): string {
  const addresses: [string, string | null][] = [
    ['gateway', run.gateway],
    ['API page', `${run.gateway}/docs`],
    ['authority', run.ca_file],
    ['keycloak', `${run.keycloak_url} (realm ${run.realm}, client ${run.client_id})`],
    ['mongodb', run.mongodb_url],
    ['kafka', run.kafka_brokers],
    ['elasticsearch', run.elasticsearch_url],
    ['telemetry', run.otlp_endpoint],
    ['smtp', run.smtp_url],
    ['mails', run.mail_url],
    ...Object.entries(run.services).map(([name, { instances, database }]): [string, string] => [
      name,
      `${instances.map(({ grpc }) => grpc).join(' ')} (database ${database})`,
    ]),
  ];
  const users = run.users.map((user) => [user.username, user.password, user.roles.join(' '), user.companies.join(' ') || '-']);
  return [
    ...columns(addresses.flatMap(([name, value]) => (value === null ? [] : [[name, value]]))),
    '',
    ...columns([['user', 'password', 'roles', 'companies'], ...users]),
  ].join('\n');
}

/** Rows with every column as wide as its widest cell. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>((sofar, row) => row.map((cell, index) => Math.max(sofar[index] ?? 0, cell.length)), []);
  return rows.map((row) => `  ${row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  ')}`.trimEnd());
}
