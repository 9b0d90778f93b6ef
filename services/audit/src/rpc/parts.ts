import type { Outbox } from '@biz/eventstore';
import type { Signer } from '@biz/merkle';
import type { MessageModel } from '@biz/protos';
import type { Keyring } from '@biz/sealing';
import type { Collections } from '../collections.ts';
import type { Reconciler } from '../completeness/index.ts';
import type { Gate, HistoryParts } from '../history/parts.ts';
import type { LetterParts } from '../letters/replay.ts';
import type { ReadLog } from '../reads/read-log.ts';
import type { TraceParts } from '../traces/trace.ts';
import type { Verifications } from '../verify/verifications.ts';

/** What the handlers work with; filled in by the composition root. */
export interface RpcParts {
  collections: Collections;
  keyring: Keyring;
  /** Who signs the checkpoints of a log. */
  signerOf: (logId: string) => Signer;
  /** Events of the audit service itself. */
  outbox: Outbox;
  /** Compares the audit with every service; `checkCompleteness` gives the verdict. */
  reconciler: Reconciler;
  /** What the replay of dead letters works with. */
  letters: LetterParts;
  /** Where reads are recorded. */
  reads: ReadLog;
  /** What time travel reads with. */
  history: HistoryParts;
  /** Whose turn it is to read a page of whole records. */
  pages: Gate;
  /** The message `Record`, and how an export reads. */
  exporting: { model: MessageModel; batch: number; span: number; atOnce: number };
  /** Verifications of the whole audit. */
  verifications: Verifications;
  /** Where spans are read; undefined where nobody said. */
  traces: TraceParts | undefined;
  /** Records looked at in one query of a replay. */
  replaySpan: number;
}
