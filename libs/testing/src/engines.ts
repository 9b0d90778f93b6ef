/**
 * The addresses of the engines that the test run uses. The runner's global setup (`infra/local/vitest-setup.ts`)
 * takes them from the environment or starts the engines. Throws when one is asked for that is not there.
 */
export function engines(): Engines {
  return {
    get mongodbUrl() {
      return required('MONGODB_URL');
    },
    get kafkaBrokers() {
      return required('KAFKA_BROKERS')
        .split(',')
        .map((broker) => broker.trim());
    },
    get keycloakUrl() {
      return required('KEYCLOAK_URL');
    },
    get elasticsearchUrl() {
      return required('ELASTICSEARCH_URL');
    },
    get postgresqlUrl() {
      return required('POSTGRESQL_URL');
    },
    get cloudwatchEndpoint() {
      return required('CLOUDWATCH_ENDPOINT');
    },
  };
}

function required(name: string): string {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is not set: run this test through vitest's "int" or "e2e" project, which starts the engines, or set it`);
  }
  return value;
}

export interface Engines {
  readonly mongodbUrl: string;
  readonly kafkaBrokers: string[];
  readonly keycloakUrl: string;
  /** The next three run only when a test file of the run speaks of them by these names. */
  readonly elasticsearchUrl: string;
  readonly postgresqlUrl: string;
  readonly cloudwatchEndpoint: string;
}
