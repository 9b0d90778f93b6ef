import { type Signer, signerOf } from '@biz/merkle';

/**
 * Signers of the logs by name: one seed for all of them, each under its own origin `<prefix>/<log id>`, which is how a checkpoint of one log
 * cannot pass for one of another. Throws an Error that names the setting when the key is no 32 bytes of base64.
 */
export function logSigners(prefix: string, key: string): (logId: string) => Signer {
  const seed = Buffer.from(key, 'base64');
  if (seed.length !== 32) throw new Error('CHECKPOINT_KEY: must be the base64 of 32 bytes, the seed of an Ed25519 key');
  const signers = new Map<string, Signer>();
  return (logId) => {
    let signer = signers.get(logId);
    if (signer === undefined) {
      signer = signerOf(`${prefix}/${logId}`, seed);
      signers.set(logId, signer);
    }
    return signer;
  };
}
