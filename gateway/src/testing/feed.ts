import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AppError } from '@biz/errors';
import { type Dispatcher, request } from 'undici';
import { type TestFleet, testFleet } from './fleet.ts';
import type { TestGateway } from './gateway.ts';

const proto = `
syntax = "proto3";
package biz.feed.v1;
import "biz/options.proto";
import "google/api/annotations.proto";
import "google/api/httpbody.proto";
// Streams.
service FeedService {
  // One picture.
  rpc GetPicture(Ask) returns (google.api.HttpBody) {
    option (google.api.http) = { get: "/v1/picture" };
    option (biz.method) = { roles: ["auditor"] };
  }
  // A file, piece by piece.
  rpc GetFile(Ask) returns (stream google.api.HttpBody) {
    option (google.api.http) = { get: "/v1/file" };
    option (biz.method) = { roles: ["auditor"] deadline_ms: 60000 };
  }
  // News.
  rpc StreamNews(From) returns (stream google.api.HttpBody) {
    option (google.api.http) = { get: "/v1/news" };
    option (biz.method) = { roles: ["auditor"] deadline_ms: 3600000 };
  }
  // Lines.
  rpc ListLines(Ask) returns (stream Line) {
    option (google.api.http) = { post: "/v1/lines" body: "*" };
    option (biz.method) = { roles: ["auditor"] deadline_ms: 60000 };
  }
}
message From { string last_event_id = 1 [(biz.field) = { header: "last-event-id" }]; }
message Ask { int32 upto = 1; }
message Line { int64 number = 1; string details = 2 [(biz.field) = { json: true }]; }
`;

/** Who may read the feed. */
export const auditor = { realm_access: { roles: ['auditor'] } };

/** A fleet with a service whose methods answer by streams. */
export async function feedFleet() {
  await using stack = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'biz-feed-'));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  await writeFile(join(dir, 'feed.proto'), proto);
  const fleet: TestFleet = stack.use(await testFleet({ processes: ['feed', 'audit'], dirs: [dir] }));
  const opened = stack.move();
  return {
    fleet,
    dir,
    /** An answer whose body is read by the test itself, as it came. */
    async open(path: string, headers: Record<string, string> = {}, gateway: TestGateway = fleet.gateway): Promise<Dispatcher.ResponseData> {
      const authorization = `Bearer ${await fleet.issuer.token(auditor)}`;
      return request(gateway.url + path, { dispatcher: gateway.agent, headers: { authorization, ...headers } });
    },
    /** Lets the test give out pieces of the file one by one. */
    pieces() {
      const waiting: PromiseWithResolvers<Buffer | AppError | 'end'>[] = [];
      const at = (index: number) => {
        waiting[index] ??= Promise.withResolvers();
        return waiting[index];
      };
      let given = 0;
      fleet.services.handlers.set('GetFile', async function* () {
        for (let index = 0; ; index += 1) {
          const next = await at(index).promise;
          if (next === 'end') return;
          if (next instanceof Error) throw next;
          yield { content_type: 'text/csv; charset=utf-8', data: next };
        }
      });
      return (next: Buffer | AppError | 'end') => {
        at(given).resolve(next);
        given += 1;
      };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

export type FeedFleet = Awaited<ReturnType<typeof feedFleet>>;
