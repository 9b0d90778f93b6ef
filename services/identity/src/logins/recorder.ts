import type { Contract } from '@biz/protos';
import { createRpcClient, serviceContext, type TlsFiles } from '@biz/rpc';
import { traceContext } from '@biz/service';
import type { Draft } from './draft.ts';

/** Hands security events to the service `security`; rejects with AppError when it did not take them. */
export function loginRecorder(options: { contract: Contract; address: string; tls: TlsFiles }): Disposable & {
  record(events: readonly Draft[]): Promise<void>;
} {
  const client = createRpcClient({ ...options, service: 'biz.security.v1.RecordingService' });
  return {
    async record(events) {
      await client.call('RecordSecurityEvents', { events }, serviceContext('identity', traceContext()));
    },
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}
