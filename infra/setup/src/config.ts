import { readConfig } from '@biz/service';
import { z } from 'zod';

const file = z.string().min(1);

/** What each command reads; README.md tells of each. */
export const shapes = {
  keys: { KEYS_FOLDER: file, KEYCLOAK_REALM: z.string().min(1).default('biz'), PUBLIC_URL: z.url() },
  topics: { KAFKA_BROKERS: z.string().min(1) },
  kibana: { KIBANA_URL: z.url() },
  seed: {
    IDENTITY_ADDRESS: z.string().regex(/^[^:]+:\d+$/, 'must be host:port'),
    TLS_CA_FILE: file,
    TLS_CERT_FILE: file,
    TLS_KEY_FILE: file,
  },
};

export type CommandName = keyof typeof shapes;

/** The only reader of the environment. Throws one Error that names every fault. */
export function setupConfig<Name extends CommandName>(name: Name, env: NodeJS.ProcessEnv = process.env) {
  return readConfig<(typeof shapes)[Name]>(shapes[name], env);
}
