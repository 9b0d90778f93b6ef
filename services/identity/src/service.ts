import { loadContract } from '@biz/protos';
import { openFoundation } from '@biz/resource';
import type { Log, RunningService } from '@biz/service';
import type { Config } from './config.ts';
import { createDirectory } from './directory.ts';
import { defineEntities, storeModels } from './entities.ts';
import { createKeycloakAdmin } from './keycloak.ts';
import { tellLogins } from './logins/poll.ts';
import { loginRecorder } from './logins/recorder.ts';
import { createHandlers, services } from './rpc.ts';
import { startSync, syncMark } from './sync.ts';
import { createSyncQueue } from './sync-queue.ts';

/** Builds and starts the service; disposing the answer ends it. Keycloak may be away. */
export async function startIdentity(config: Config, log: Log): Promise<RunningService> {
  const contract = loadContract();
  const entities = defineEntities(contract);
  const foundation = await openFoundation({ name: 'identity', config, contract, log, models: storeModels(entities), marks: [syncMark] });
  const queue = createSyncQueue(foundation.store.db);
  await queue.ensureIndexes();
  const keycloak = createKeycloakAdmin({
    url: config.KEYCLOAK_URL,
    realm: config.KEYCLOAK_REALM,
    clientId: config.KEYCLOAK_CLIENT_ID,
    clientSecret: config.KEYCLOAK_CLIENT_SECRET,
  });
  const resyncMs = config.KEYCLOAK_RESYNC_HOURS * 3_600_000;
  foundation.use(startSync({ ...foundation, queue, directory: createDirectory(keycloak), log, resyncMs }));
  const security = config.SERVICE_ADDRESSES.security;
  if (security) {
    const recorder = foundation.use(loginRecorder({ contract, address: security, tls: foundation.tls }));
    foundation.use(
      tellLogins({
        ...{ db: foundation.store.db, keycloak, keyring: foundation.keyring, record: recorder.record, log },
        pollMs: config.KEYCLOAK_EVENTS_POLL_MS,
        overlapMs: config.KEYCLOAK_EVENTS_OVERLAP_SECONDS * 1_000,
      }),
    );
  } else log.warn('no address of the security service: logins are not told');
  return foundation.serve(services, createHandlers({ ...foundation, entities, queue }));
}
