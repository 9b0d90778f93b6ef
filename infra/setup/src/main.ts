// What has to be there before a fleet can run, or after it first does: each command can be repeated, changes nothing that is there already, and ends.

import { importObjects } from '@biz/kibana';
import { ensureTopics, seedIdentity } from '@biz/local';
import { setupConfig } from './config.ts';
import { makeKeys } from './keys.ts';

const commands: Readonly<Record<string, () => Promise<void>>> = {
  keys: () => {
    const config = setupConfig('keys');
    return makeKeys({ folder: config.KEYS_FOLDER, realm: config.KEYCLOAK_REALM, publicUrl: config.PUBLIC_URL });
  },
  topics: () => ensureTopics(setupConfig('topics').KAFKA_BROKERS),
  kibana: () => importObjects(setupConfig('kibana').KIBANA_URL),
  seed: () => {
    const config = setupConfig('seed');
    const { TLS_CA_FILE: caFile, TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile } = config;
    return seedIdentity({ address: config.IDENTITY_ADDRESS, tls: { caFile, certFile, keyFile } });
  },
};

const [name = ''] = process.argv.slice(2);
try {
  const command = commands[name];
  if (command === undefined) throw new Error(`"${name}" is no command; there are ${Object.keys(commands).join(', ')}`);
  await command();
  console.log(`${name}: done`);
} catch (error) {
  console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
