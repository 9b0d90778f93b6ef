import { hkdfSync } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { Agent, request } from 'undici';
import type { OpenedNotification } from '../delivery.ts';
import type { DeliveryOutcome } from '../mailer.ts';
import { type AddressGuard, ForbiddenAddressError } from './addresses.ts';

export interface WebhookCall {
  /** Stays the same for every attempt, so that a receiver can tell a repetition. */
  readonly id: string;
  readonly url: string;
  /** The company in whose name it is sent; null: the platform's. */
  readonly company_id: string | null;
  /** JSON text, the same for every attempt. */
  readonly body: string;
}

export interface WebhookSender extends AsyncDisposable {
  /** Posts a message to its receiver, signed; never rejects. Any answer but 2xx is tried again; a redirect, 410 and a forbidden address are not. */
  send(call: WebhookCall, signal?: AbortSignal): Promise<DeliveryOutcome>;
}

export interface WebhookOptions {
  /**
   * Keys that the secrets of receivers are made from. A message is signed with the secrets of all, so that receivers can change theirs one after
   * another while the former key is still in the list (Standard Webhooks, "Key rotation").
   */
  readonly keys: readonly Buffer[];
  readonly guard: AddressGuard;
  /** The longest that one attempt may take, in milliseconds. */
  readonly timeoutMs: number;
}

/** Bytes of an answer that are read (and thrown away) so that the connection can be used again. */
const MOST_ANSWER_BYTES = 16_384;

/** Sends as the Standard Webhooks specification 1.0 says: `webhook-id`, `webhook-timestamp`, and `webhook-signature` by HMAC-SHA256 (v1). */
export function createWebhookSender({ keys, guard, timeoutMs }: WebhookOptions): WebhookSender {
  const dispatcher = new Agent({ connect: { lookup: guard.lookup, timeout: timeoutMs }, connections: 2, keepAliveTimeout: 4_000 });
  return {
    async send({ id, url, company_id, body }, signal) {
      // the rules may have changed since it was asked for
      if (guard.fault(url) !== undefined) return { kind: 'refused', reason: 'webhook address not allowed' };
      const now = new Date();
      const limit = AbortSignal.timeout(timeoutMs);
      try {
        const answer = await request(url, {
          method: 'POST',
          dispatcher,
          signal: signal ? AbortSignal.any([signal, limit]) : limit,
          headers: {
            'content-type': 'application/json',
            'user-agent': 'biz-retail-webhooks',
            'webhook-id': id,
            'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
            'webhook-signature': keys.map((key) => new Webhook(webhookSecret(key, company_id, url)).sign(id, now, body)).join(' '),
          },
          body,
        });
        await answer.body.dump({ limit: MOST_ANSWER_BYTES }).catch(() => undefined);
        return outcomeOfStatus(answer.statusCode);
      } catch (error) {
        return signal?.aborted ? { kind: 'away', reason: 'stopped' } : outcomeOfFailure(error);
      }
    },
    [Symbol.asyncDispose]: () => dispatcher.destroy(),
  };
}

/** What is posted for a notification: its template's name, and the values of the template (Standard Webhooks, "Payload structure"). */
export function webhookCall({ _id, company_id, created_at, fields }: OpenedNotification): WebhookCall {
  const body = JSON.stringify({ type: fields.template, timestamp: created_at, data: JSON.parse(fields.data) as object });
  return { id: _id, url: fields.to, company_id, body };
}

/** The secret that a company shares with one receiver, in the form of Standard Webhooks; always the same for the same key, company and URL (RFC 5869). */
export function webhookSecret(key: Buffer, companyId: string | null, url: string): string {
  const secret = hkdfSync('sha256', key, Buffer.alloc(0), `biz/webhook/${JSON.stringify([companyId, url])}`, 32);
  return `whsec_${Buffer.from(secret).toString('base64')}`;
}

/** 410 means that the receiver wants no more (Standard Webhooks, "Delivery"); a redirect is not followed: it could lead anywhere. */
function outcomeOfStatus(status: number): DeliveryOutcome {
  if (status >= 200 && status < 300) return { kind: 'sent' };
  const final = status === 410 || (status >= 300 && status < 400);
  return { kind: final ? 'refused' : 'later', reason: `http ${status}` };
}

/** One receiver that cannot be reached says nothing of the others, so that none is `away`. */
function outcomeOfFailure(error: unknown): DeliveryOutcome {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof ForbiddenAddressError) return { kind: 'refused', reason: 'webhook address not allowed' };
  }
  const { name, code } = error as { name?: string; code?: string };
  return { kind: 'later', reason: name === 'TimeoutError' ? 'timeout' : (code ?? name ?? 'unknown') };
}
