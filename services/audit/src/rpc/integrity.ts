import { AppError } from '@biz/errors';
import { consistencyProof, edgeRoot, inclusionProof, type Signer } from '@biz/merkle';
import type { Call, Handler } from '@biz/rpc';
import type { CheckpointDocument } from '../collections.ts';
import { coveringCheckpoint } from '../integrity/covering.ts';
import { checkpointOf, requireTree, rootAt, treeOf } from '../integrity/logs.ts';
import { leafOf } from '../leaf.ts';
import { getRecord } from '../query/records.ts';
import { scopeOf } from '../query/scope.ts';
import type { RpcParts } from './parts.ts';

/** IntegrityService: logs, checkpoints and proofs. They hold hashes and sizes only, so they are shown to an auditor of any company. */
export function integrityHandlers({ collections, signerOf }: RpcParts): Record<string, Handler> {
  return {
    ListLogs: async () => {
      const logs = await collections.logs.find({}, { projection: { _id: 1 }, sort: { _id: 1 } }).toArray();
      return { items: await Promise.all(logs.map(({ _id }) => logMessage(_id))) };
    },
    GetCheckpoint: async ({ log_id, size }: { log_id: string; size?: number }) => {
      const checkpoint = await checkpointOf(collections, log_id, size || undefined);
      if (checkpoint === undefined) throw new AppError('not_found', 'There is no such checkpoint.');
      return { content_type: 'text/plain; charset=utf-8', data: Buffer.from(checkpoint.note) };
    },
    GetConsistencyProof: async ({ log_id, from, to }: { log_id: string; from: number; to?: number }) => {
      const newest = await checkpointOf(collections, log_id);
      const tree = await requireTree(collections, log_id);
      const last = to || (newest?.size ?? tree.size);
      assertSizes(from, last, tree.size);
      const [path, fromRoot, toRoot] = await Promise.all([consistencyProof(from, last, tree.read), rootAt(tree, from), rootAt(tree, last)]);
      return { log_id, from, to: last, from_root: hex(fromRoot), to_root: hex(toRoot), path: path.map(hex) };
    },
    GetRecordProof: async ({ record_id }: { record_id: string }, { context, deadline, signal }: Call) => {
      const record = await getRecord(collections, scopeOf(context), record_id);
      if (record === undefined) throw new AppError('not_found', 'There is no such record.');
      const { log_id, leaf_index } = record;
      const checkpoint = await coveringCheckpoint(collections, log_id, leaf_index, { deadline, signal });
      const tree = await requireTree(collections, log_id);
      const path = await inclusionProof(leaf_index, checkpoint.size, tree.read);
      return {
        log_id,
        leaf_index,
        leaf_hash: hex(leafOf(record)),
        tree_size: checkpoint.size,
        path: path.map(hex),
        checkpoint: checkpoint.note,
      };
    },
    GetVerificationKey: async () => {
      const logs = await collections.logs.find({}, { projection: { _id: 1 }, sort: { _id: 1 } }).toArray();
      return {
        algorithm: 'Ed25519',
        public_key: signerOf('key').publicKey.toString('base64'),
        logs: logs.map(({ _id }) => logKey(_id, signerOf(_id))),
      };
    },
  };

  async function logMessage(logId: string): Promise<object> {
    const [tree, newest] = await Promise.all([treeOf(collections, logId), checkpointOf(collections, logId)]);
    return {
      log_id: logId,
      origin: signerOf(logId).name,
      size: tree?.size ?? 0,
      root_hash: tree === undefined ? '' : hex(edgeRoot(tree.edge)),
      checkpoint_size: newest?.size ?? 0,
      checkpoint_at: timeOf(newest),
    };
  }
}

function logKey(logId: string, signer: Signer): object {
  return { log_id: logId, origin: signer.name, vkey: signer.vkey };
}

function timeOf(checkpoint: CheckpointDocument | undefined): string {
  return checkpoint?.created_at.toISOString() ?? '';
}

function assertSizes(from: number, to: number, size: number): void {
  const faults = [
    ...(from > to ? [{ path: '/from', message: `is beyond ${to}, where the proof is to end` }] : []),
    ...(to > size ? [{ path: '/to', message: `is beyond the log, which has ${size} leaves` }] : []),
  ];
  if (faults.length > 0) throw new AppError('invalid_request', 'The request does not fit the log.', { faults });
}

function hex(hash: Buffer): string {
  return hash.toString('hex');
}
