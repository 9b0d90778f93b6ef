import type { Keyring } from '@biz/sealing';
import type { Sink } from '../consumer.ts';
import { storedEvents } from '../seal.ts';
import type { Storages } from './storages.ts';

/** Keeps the security events of every batch, sealed. */
export function storageSink(keyring: Pick<Keyring, 'seal' | 'blindIndexes'>, storages: Pick<Storages, 'save'>): Sink {
  return {
    name: 'storage',
    async take(batch) {
      if (batch.length > 0) await storages.save(await storedEvents(keyring, batch, new Date()));
    },
  };
}
