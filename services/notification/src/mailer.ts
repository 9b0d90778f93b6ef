import { createTransport } from 'nodemailer';
import type { Rendered } from './templates.ts';

export type Mail = Rendered & {
  /** An address alone, without a display name. */
  readonly to: string;
  /** Stays the same for every attempt of one message, so that a mail server or reader can tell a repetition (RFC 5322, 3.6.4). */
  readonly messageKey: string;
};

/** How one attempt ended. `reason` is a code, never the server's text: that may repeat the address. */
export type DeliveryOutcome =
  | { readonly kind: 'sent' }
  | { readonly kind: 'refused'; readonly reason: string }
  /** This message may pass another time. */
  | { readonly kind: 'later'; readonly reason: string }
  /** The other side cannot be reached: no message will pass now. */
  | { readonly kind: 'away'; readonly reason: string };

export type Mailer = Disposable & {
  /** Hands a message to the mail server; never rejects. */
  send(mail: Mail, signal?: AbortSignal): Promise<DeliveryOutcome>;
};

export type MailerOptions = {
  /** `smtp://user:password@host:port`, `smtps://…`. */
  readonly url: string;
  /** `Name <address>` or an address. */
  readonly from: string;
  /** Messages under way at once, each on a connection of the pool. */
  readonly connections: number;
};

/** Longest waits for the mail server, in milliseconds. */
const timeouts = { connectionTimeout: 5_000, greetingTimeout: 5_000, dnsTimeout: 5_000, socketTimeout: 20_000 };

export function createMailer(options: MailerOptions): Mailer {
  const transport = createTransport({
    pool: true,
    url: options.url,
    maxConnections: options.connections,
    // a pooled connection that the server closed is one attempt, counted by us
    maxRequeues: 0,
    disableFileAccess: true,
    disableUrlAccess: true,
    ...timeouts,
  });
  const domain = /@([^\s>]+)/.exec(options.from)?.[1] ?? 'localhost';
  return {
    async send(mail, signal) {
      try {
        await transport.sendMail({
          from: options.from,
          to: { name: '', address: mail.to },
          subject: mail.subject,
          text: mail.text,
          html: mail.html,
          messageId: `<${mail.messageKey}@${domain}>`,
          // nobody's absence note shall answer it (RFC 3834, 5)
          headers: { 'Auto-Submitted': 'auto-generated' },
          ...(signal && { signal }),
        });
        return { kind: 'sent' };
      } catch (error) {
        return outcomeOf(error);
      }
    },
    [Symbol.dispose]: () => transport.close(),
  };
}

/** Replies about signing in (RFC 4954, 6) are about our settings, not about the message: they are tried again. */
const signInCodes = new Set([530, 534, 535, 538]);

/** A 5yz reply is final, a 4yz reply passes (RFC 5321, 4.2.1); 421 and everything around the connection say that the server is away. */
export function outcomeOf(error: unknown): DeliveryOutcome {
  const { code, responseCode, response } = error as { code?: string; responseCode?: number; response?: string };
  if (responseCode === undefined)
    return { kind: code === 'EENVELOPE' || code === 'EMESSAGE' ? 'refused' : 'away', reason: code ?? 'unknown' };
  const signIn = signInCodes.has(responseCode);
  const kind = signIn || responseCode === 421 ? 'away' : responseCode >= 500 && responseCode < 600 ? 'refused' : 'later';
  // the enhanced status code (RFC 3463) says what the reply code does not
  const enhanced = /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})\b/.exec(response ?? '')?.[1];
  return { kind, reason: ['smtp', responseCode, enhanced].filter(Boolean).join(' ') };
}
