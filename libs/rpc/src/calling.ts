import { setTimeout as pause } from 'node:timers/promises';
import { AppError } from '@biz/errors';
import type { MethodModel } from '@biz/protos';
import { counter } from '@biz/telemetry';
import type { Client, ClientReadableStream, MethodDefinition, ServiceError } from '@grpc/grpc-js';
import { type CallContext, contextMetadata } from './context.ts';
import { lossOf } from './loss.ts';
import type { Renewed } from './renewed.ts';
import { isRepeatable, type Loss, type Retries, type Retry } from './retry.ts';
import { fromServiceError } from './status.ts';
import { tracedCall, tracedMessages } from './tracing.ts';

const retries = counter('biz.rpc.retries');

export type Wire = MethodDefinition<object, object>;

/** A call to be made, as often as its deadline lasts and the rule for retries allows. */
export type Asked = {
  readonly method: MethodModel;
  readonly wire: Wire;
  readonly request: object;
  readonly context: CallContext;
  readonly deadline: Date;
  readonly signal: AbortSignal | undefined;
};

/** How one attempt failed; `loss` when no service answered. */
class Failed {
  readonly error: AppError;
  readonly loss: Loss | undefined;

  constructor(error: AppError, loss: Loss | undefined) {
    this.error = error;
    this.loss = loss;
  }
}

/** Makes calls to one target, again where that is safe. */
export class Calling {
  readonly #clients: Renewed;
  readonly #retries: Retries;
  readonly #onRetry: ((retry: Retry) => void) | undefined;

  constructor(clients: Renewed, retries: Retries, onRetry: ((retry: Retry) => void) | undefined) {
    this.#clients = clients;
    this.#retries = retries;
    this.#onRetry = onRetry;
  }

  /** Resolves to the decoded answer; rejects with AppError. */
  unary(asked: Asked): Promise<object> {
    return tracedCall(asked.method, asked.context, (context) => this.#unary({ ...asked, context }));
  }

  async #unary(asked: Asked): Promise<object> {
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#once(asked);
      if (!(outcome instanceof Failed)) {
        this.#retries.answered();
        return outcome;
      }
      await this.#again(asked, outcome, attempt);
    }
  }

  /** Yields messages; throws AppError in place of one. Made again only as long as none has come. */
  stream(asked: Asked): AsyncGenerator<object> {
    return tracedMessages(asked.method, asked.context, (context) => this.#stream({ ...asked, context }));
  }

  async *#stream(asked: Asked): AsyncGenerator<object> {
    for (let attempt = 1; ; attempt += 1) {
      using lease = this.#clients.lease();
      const { call, cancel } = open(lease.client, asked);
      let begun = false;
      let failed: Failed;
      try {
        for await (const message of call) {
          if (asked.signal?.aborted) throw new AppError('cancelled', 'The call was cancelled.');
          if (!begun) this.#retries.answered();
          begun = true;
          yield message;
        }
        return;
      } catch (error) {
        if (error instanceof AppError) throw error;
        failed = failure(error as ServiceError, asked, isConnected(call, lease.client));
        if (begun) throw failed.error;
      } finally {
        asked.signal?.removeEventListener('abort', cancel);
        cancel();
      }
      await this.#again(asked, failed, attempt);
    }
  }

  async #once(asked: Asked): Promise<object | Failed> {
    const { wire, request, context, deadline, signal } = asked;
    using lease = this.#clients.lease();
    return await new Promise((resolve) => {
      const done = (error: ServiceError | null, answer?: object) => {
        signal?.removeEventListener('abort', cancel);
        resolve(error ? failure(error, asked, isConnected(call, lease.client)) : (answer ?? {}));
      };
      const { path, requestSerialize, responseDeserialize } = wire;
      const metadata = contextMetadata(context);
      const call = lease.client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, { deadline }, done);
      const cancel = () => call.cancel();
      if (signal?.aborted) cancel();
      signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  /** Returns when the call is to be made again, and throws its error when it is not. */
  async #again({ method, context, deadline, signal }: Asked, { error, loss }: Failed, attempt: number): Promise<void> {
    if (loss === undefined) {
      this.#retries.answered();
      throw error;
    }
    const wait = this.#retries.pause(loss, attempt, isRepeatable(method, context));
    if (wait === undefined || Date.now() + wait >= deadline.getTime()) throw error;
    retries.add(1, { 'rpc.service': method.service.fullName, 'rpc.method': method.name, 'biz.rpc.loss': loss });
    this.#onRetry?.({ rpc: method.path, loss, attempt });
    await pause(wait, undefined, signal && { signal }).catch(() => undefined); // an aborted call is made again, to fail as such
  }
}

function open(
  client: Client,
  { wire, request, context, deadline, signal }: Asked,
): { call: ClientReadableStream<object>; cancel: () => void } {
  const { path, requestSerialize, responseDeserialize } = wire;
  const metadata = contextMetadata(context);
  const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, metadata, { deadline });
  call.on('error', () => {}); // one that comes when nobody reads any more, such as that of our own cancelling
  const cancel = () => call.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  if (signal?.aborted) cancel();
  return { call, cancel };
}

/** Until a call is given to a connection, its peer is the target itself, or nobody. */
function isConnected(call: { getPeer(): string }, client: Client): boolean {
  const peer = call.getPeer();
  return peer !== client.getChannel().getTarget() && peer !== 'unknown';
}

function failure(error: ServiceError, { signal, method, context }: Asked, connected: boolean): Failed {
  const loss = lossOf(error, { connected, cancelled: signal?.aborted ?? false });
  if (loss !== 'lost') return new Failed(fromServiceError(error), loss);
  return new Failed(new AppError('unavailable', lostMessage(method, context), { cause: error }), loss);
}

function lostMessage(method: MethodModel, context: CallContext): string {
  if (isRepeatable(method, context)) return 'The service broke off; try again in a moment.';
  return 'The service broke off, and may have done it or not: look before you repeat it. A repetition with an Idempotency-Key would be safe.';
}
