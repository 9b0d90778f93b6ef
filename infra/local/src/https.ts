import { request } from 'node:https';

/** A JSON request over HTTPS to a server whose certificate the given authority issued; one that the machine trusts, when none is given. */
export function jsonRequest(options: JsonRequest): Promise<{ status: number; body: unknown }> {
  const { method, url, ca, token, body, headers = {} } = options;
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method,
        ...(ca !== undefined && { ca }),
        timeout: 15_000,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
      },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('error', reject);
        answer.on('end', () => {
          const text = Buffer.concat(parts).toString();
          resolve({ status: answer.statusCode ?? 0, body: text === '' ? undefined : JSON.parse(text) });
        });
      },
    );
    sent.on('timeout', () => sent.destroy(new Error(`${method} ${url} had no answer within 15 s`)));
    sent.on('error', reject);
    sent.end(body === undefined || typeof body === 'string' ? body : JSON.stringify(body));
  });
}

interface JsonRequest {
  method: string;
  url: string;
  /** Certificate of the authority, PEM. */
  ca: string | undefined;
  token: string;
  /** JSON text is sent as it stands, so that no digit of it is lost. */
  body?: object | string;
  headers?: Record<string, string>;
}
