import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { contractBreaks } from './breaking.ts';
import { loadContract, protoRoot } from './index.ts';

const route = 'option (google.api.http) = { post: "/v1/things/{id}" body: "*" };';
const rules = 'roles: ["admin", "user"] event: "thing.changed" ownership: "company" any_client: true';
const fields = {
  id: 'string id = 1;',
  name: 'string name = 2 [(biz.field) = { max_len: 200 nullable: true }];',
  kind: 'string kind = 3 [(biz.field) = { in: ["a", "b"] pattern: "^[ab]$" }];',
  size: 'int32 size = 4 [(biz.field) = { min: 1 max: 10 }];',
  tags: 'repeated string tags = 5;',
  code: 'string code = 6 [(biz.field) = { format: "uuid" header: "x-code" }];',
  data: 'string data = 7 [(biz.field) = { json: true }];',
};
const answer = {
  id: 'string id = 1;',
  email: 'string email = 2 [(biz.field) = { personal: { ownership: "id" blind: "email" open_to: ["dpo", "admin"] } }];',
  note: 'string note = 3;',
};

/** A contract of one method; parts of it are taken by others. */
function contract(over: { route?: string; rules?: string; fields?: object; answer?: object } = {}) {
  const text = `syntax = "proto3"; package biz.thing.v1; import "biz/options.proto"; import "google/api/annotations.proto";
    service ThingService { rpc Change(ChangeRequest) returns (Thing) {
      ${over.route ?? route} option (biz.method) = { ${over.rules ?? rules} }; } }
    message ChangeRequest { ${Object.values({ ...fields, ...over.fields }).join('\n')} }
    message Thing { ${Object.values({ ...answer, ...over.answer }).join('\n')} }`;
  const root = mkdtempSync(join(tmpdir(), 'biz-breaking-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const file = join(root, 'biz/thing/v1/thing.proto');
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  copyFileSync(join(protoRoot, 'biz/options.proto'), join(root, 'biz/options.proto'));
  return loadContract({ root });
}
const told = (over: Parameters<typeof contract>[0]) =>
  contractBreaks(contract(), contract(over)).map(({ rule, element, message }) => `${rule} ${element}: ${message}`);

const method = '/biz.thing.v1.ThingService/Change';
const asked = 'biz.thing.v1.ChangeRequest';
const thing = 'biz.thing.v1.Thing';
const personal = (rule: string) => ({ answer: { email: `string email = 2 [(biz.field) = { personal: { ${rule} } }];` } });

test.each<[string, Parameters<typeof contract>[0], string]>([
  [
    'another path',
    { route: route.replace('things', 'items') },
    `ROUTE_CHANGED ${method}: was post /v1/things/{} with a body, is post /v1/items/{} with a body`,
  ],
  ['another verb', { route: route.replace('post', 'patch') }, `ROUTE_CHANGED ${method}: was post`],
  ['no body', { route: route.replace(' body: "*"', '') }, `ROUTE_CHANGED ${method}: was post`],
  ['no route', { route: '' }, `ROUTE_CHANGED ${method}: was post /v1/things/{} with a body, has no route`],
  ['a role less', { rules: rules.replace(', "user"', '') }, `ROLE_REMOVED ${method}: user may no longer call it`],
  ['people of clients no more', { rules: rules.replace(' any_client: true', '') }, `CALLERS_NARROWED ${method}: any_client is gone`],
  ['another event', { rules: rules.replace('changed', 'moved') }, `EVENT_CHANGED ${method}: event was "thing.changed", is "thing.moved"`],
  ['another owner', { rules: rules.replace('company', 'id') }, `OWNERSHIP_CHANGED ${method}: ownership was "company", is "id"`],
  ['another status', { rules: `${rules} status: 201` }, `STATUS_CHANGED ${method}: status was 200, is 201`],
  ['a merge patch', { rules: `${rules} merge_patch: true` }, `BODY_CHANGED ${method}: merge_patch was false, is true`],
  [
    'a new required field',
    { fields: { more: 'string more = 9 [(biz.field) = { required: true }];' } },
    `REQUIRED_ADDED ${asked}.more: is new, and required`,
  ],
  [
    'a field that is required now',
    { fields: { tags: 'repeated string tags = 5 [(biz.field) = { required: true }];' } },
    `REQUIRED_ADDED ${asked}.tags: is required now`,
  ],
  [
    'a limit lowered',
    { fields: { name: 'string name = 2 [(biz.field) = { max_len: 100 nullable: true }];' } },
    `LIMIT_NARROWED ${asked}.name: max_len is 100 now`,
  ],
  [
    'a limit where only the default was',
    { fields: { tags: 'repeated string tags = 5 [(biz.field) = { max_len: 10 }];' } },
    `LIMIT_NARROWED ${asked}.tags: max_len is 10 now`,
  ],
  [
    'a least length',
    { fields: { name: 'string name = 2 [(biz.field) = { min_len: 2 max_len: 200 nullable: true }];' } },
    `LIMIT_NARROWED ${asked}.name: min_len is 2 now`,
  ],
  [
    'a greatest value',
    { fields: { size: 'int32 size = 4 [(biz.field) = { min: 1 max: 9 }];' } },
    `LIMIT_NARROWED ${asked}.size: max is 9 now`,
  ],
  [
    'a least value',
    { fields: { size: 'int32 size = 4 [(biz.field) = { min: 2 max: 10 }];' } },
    `LIMIT_NARROWED ${asked}.size: min is 2 now`,
  ],
  [
    'a value less',
    { fields: { kind: 'string kind = 3 [(biz.field) = { in: ["a"] pattern: "^[ab]$" }];' } },
    `VALUE_REMOVED ${asked}.kind: b is refused now`,
  ],
  [
    'a closed list',
    { fields: { name: 'string name = 2 [(biz.field) = { max_len: 200 nullable: true in: ["x"] }];' } },
    `VALUE_REMOVED ${asked}.name: has a closed list of values now`,
  ],
  [
    'another pattern',
    { fields: { kind: 'string kind = 3 [(biz.field) = { in: ["a", "b"] pattern: "^a$" }];' } },
    `PATTERN_CHANGED ${asked}.kind: the pattern is ^a$ now`,
  ],
  [
    'another format',
    { fields: { code: 'string code = 6 [(biz.field) = { format: "ip" header: "x-code" }];' } },
    `FORMAT_CHANGED ${asked}.code: the format is ip now`,
  ],
  [
    'what cannot be cleared any more',
    { fields: { name: 'string name = 2 [(biz.field) = { max_len: 200 }];' } },
    `NULLABLE_REMOVED ${asked}.name: cannot be cleared any more`,
  ],
  [
    'what is not taken any more',
    { fields: { tags: 'repeated string tags = 5 [(biz.field) = { output_only: true }];' } },
    `OUTPUT_ONLY_ADDED ${asked}.tags: is not taken in a request any more`,
  ],
  [
    'another place',
    { fields: { code: 'string code = 6 [(biz.field) = { format: "uuid" }];' } },
    `HEADER_CHANGED ${asked}.code: came from the header x-code, comes from path, query or body`,
  ],
  ['text that was JSON', { fields: { data: 'string data = 7;' } }, `JSON_CHANGED ${asked}.data: is text now`],
  [
    'an answer that is JSON now',
    { answer: { note: 'string note = 3 [(biz.field) = { json: true }];' } },
    `JSON_CHANGED ${thing}.note: is JSON now`,
  ],
  [
    'personal data that is none any more',
    { answer: { email: 'string email = 2;' } },
    `PERSONAL_REMOVED ${thing}.email: was personal data: from now on it would be stored and published in clear`,
  ],
  [
    'personal data that was none',
    { answer: { note: 'string note = 3 [(biz.field) = { personal: { ownership: "id" } }];' } },
    `PERSONAL_ADDED ${thing}.note: is personal`,
  ],
  [
    'personal data that more see',
    personal('ownership: "id" blind: "email" open_to: ["dpo", "admin", "user"]'),
    `OPEN_TO_WIDENED ${thing}.email: user would see it opened`,
  ],
  [
    'personal data that fewer see',
    personal('ownership: "id" blind: "email" open_to: ["dpo"]'),
    `OPEN_TO_NARROWED ${thing}.email: admin would no longer see it`,
  ],
  [
    'personal data of somebody else',
    personal('ownership: "company" blind: "email" open_to: ["dpo", "admin"]'),
    `OWNERSHIP_CHANGED ${thing}.email: was of id, is of company`,
  ],
  [
    'personal data without its index',
    personal('ownership: "id" open_to: ["dpo", "admin"]'),
    `BLIND_INDEX_CHANGED ${thing}.email: was email, is none`,
  ],
])('%s breaks, and is the only thing that is told', (_, over, text) => {
  expect(told(over)).toEqual([expect.stringContaining(text)]);
});

test.each<[string, Parameters<typeof contract>[0]]>([
  ['nothing', {}],
  ['another name of a parameter', { route: route.replace('{id}', '{name}') }],
  ['one more role', { rules: rules.replace('"user"', '"user", "dpo"') }],
  [
    'a new optional field',
    { fields: { more: 'optional string more = 9 [(biz.field) = { max_len: 5 }];' }, answer: { more: 'optional string more = 9;' } },
  ],
  ['wider limits', { fields: { size: 'int32 size = 4;', name: 'string name = 2 [(biz.field) = { max_len: 300 nullable: true }];' } }],
  ['one more value', { fields: { kind: 'string kind = 3 [(biz.field) = { in: ["a", "b", "c"] pattern: "^[ab]$" }];' } }],
  ['limits of an answer', { answer: { note: 'string note = 3 [(biz.field) = { max_len: 3 required: true }];' } }],
])('%s breaks nothing', (_, over) => {
  expect(told(over)).toEqual([]);
});
