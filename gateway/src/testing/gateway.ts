import { readFileSync } from 'node:fs';
import type { RunningService } from '@biz/service';
import type { TestTls } from '@biz/testing';
import { type Logger, pino } from 'pino';
import { Agent, fetch, type RequestInit } from 'undici';
import { readGatewayConfig } from '../config.ts';
import { logRefusals, type Refusal } from '../refusals.ts';
import { startGateway } from '../service.ts';
import type { TestIssuer } from './issuer.ts';

export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many forms
  readonly json: any;
};

export type TestGateway = AsyncDisposable & {
  readonly url: string;
  readonly agent: Agent;
  readonly running: RunningService;
  /** Everything that it logged so far. */
  readonly lines: string[];
  readonly refusals: Refusal[];
  /** A request as given, over HTTPS with the test authority. */
  send(method: string, path: string, init?: RequestInit): Promise<Answer>;
  /** A request with a good token of company A's admin, and a JSON body. */
  as(claims: object, method: string, path: string, options?: { body?: unknown; headers?: Record<string, string> }): Promise<Answer>;
};

/** A test asks more than a person does, on a machine that may be slow; what is about limits sets its own. */
const unlimited = {
  RATE_LIMIT_ADDRESS: '0',
  RATE_LIMIT_LOGIN: '0',
  RATE_LIMIT_SUBJECT: '0',
  RATE_LIMIT_COMPANY: '0',
  PRESSURE_EVENT_LOOP_DELAY_MS: '0',
};

/** The gateway in this process, on a free port, with a real certificate. `env` adds to its settings. */
export async function testGateway(
  tls: TestTls,
  issuer: Pick<TestIssuer, 'issuer' | 'jwksUrl' | 'token'>,
  env: Record<string, string> = {},
): Promise<TestGateway> {
  const files = tls.tls('gateway');
  const lines: string[] = [];
  const refusals: Refusal[] = [];
  const config = readGatewayConfig({
    GATEWAY_PORT: '0',
    TLS_CA_FILE: files.caFile,
    TLS_CERT_FILE: files.certFile,
    TLS_KEY_FILE: files.keyFile,
    OIDC_ISSUER: issuer.issuer,
    OIDC_JWKS_URL: issuer.jwksUrl,
    ...unlimited,
    ...env,
  });
  const log = capture(lines);
  const tell = logRefusals(log);
  const onRefusal = (refusal: Refusal) => {
    refusals.push(refusal);
    tell(refusal);
  };
  const running = await startGateway(config, log, { onRefusal });
  const agent = new Agent({ connect: { ca: readFileSync(files.caFile) }, connections: 20 });
  const url = `https://localhost:${running.address.split(':')[1]}`;
  const send: TestGateway['send'] = async (method, path, init = {}) => {
    const response = await fetch(url + path, { ...init, method, dispatcher: agent });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers as unknown as Headers, text, json: isJson ? JSON.parse(text) : undefined };
  };
  return {
    url,
    agent,
    running,
    lines,
    refusals,
    send,
    as: async (claims, method, path, { body, headers = {} } = {}) =>
      send(method, path, {
        headers: {
          authorization: `Bearer ${await issuer.token({ ...claims })}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await agent.close();
    },
  };
}

function capture(lines: string[]): Logger {
  return pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
}
