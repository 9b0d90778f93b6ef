import type { Collections } from '@biz/audit';
import type { Signer } from '@biz/merkle';
import type { Keyring } from '@biz/sealing';
import type { Db } from 'mongodb';
import type { Mix } from './mix.ts';

/** What the logs of the store are called by in their checkpoints. */
export const ORIGIN = 'example.com/audit';

/** A store that was filled, and all that its readers need. */
export interface FilledStore {
  mongodbUrl: string;
  db: Db;
  collections: Collections;
  keyring: Keyring;
  mix: Mix;
  records: number;
  /** Checkpoints outside the database. */
  file: string;
  signerOf: (logId: string) => Signer;
}
