import { type ErrorCode, errorCodeEntry } from '@biz/errors';
import { httpSchemas, type JsonSchema, type MethodModel, type ServiceModel } from '@biz/protos';
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifySchema } from 'fastify';
import { isEntity, isHttpBody } from './answer.ts';
import { bodyTypes } from './body.ts';
import { schemaRef } from './components.ts';
import { isEventStream } from './stream.ts';

/**
 * What Fastify keeps of a route, and the API document says of it. Requests are not checked by these schemas in the framework, which would
 * stop at the first part with a fault, but by the same ones in request.ts.
 */
export function describeRoute(method: MethodModel): FastifySchema {
  const { params, querystring, body } = httpSchemas(method);
  return {
    operationId: `${method.service.name}_${method.name}`,
    summary: method.comment.split(/[.;:]\s/)[0]?.replace(/\.$/, '') || method.name,
    description: description(method),
    tags: [tagOf(method.service)],
    security: [{ bearer: [] }, { session: [] }],
    headers: headers(method),
    response: { [method.rules.status]: success(method), ...problems(method) },
    ...(params ? { params } : {}),
    ...(querystring ? { querystring } : {}),
    ...(body ? { body, consumes: [...(method.http?.verb === 'patch' ? bodyTypes.patch : bodyTypes.json)] } : {}),
  };
}

function tagOf(service: ServiceModel): string {
  return service.name.replace(/Service$/, '');
}

/** What a client of a stream has to know. */
const streamed =
  'Streamed, one JSON document a line unless the content type says otherwise; compressed when `Accept-Encoding` has `gzip`. An error after the ' +
  'first byte breaks the transfer off: only an answer that ended properly is whole.';

/** What a client of events has to know. */
const events =
  'Server-Sent Events, as `EventSource` of browsers reads them; never compressed. The stream ends at the latest when the token does; connect again with ' +
  '`Last-Event-ID`, as browsers do by themselves.';

function description(method: MethodModel): string {
  const { comment, rules, responseStream } = method;
  const roles = rules.roles.length ? `Roles: ${rules.roles.join(', ')}.` : 'Only for services of the fleet.';
  return [
    comment,
    roles,
    ...(responseStream ? [isEventStream(method) ? events : streamed] : []),
    ...(rules.any_company ? ['Works without a chosen company.'] : []),
    ...(rules.event ? [`Recorded as \`${rules.event}\`.`] : []),
  ].join('\n\n');
}

function headers(method: MethodModel): JsonSchema {
  const fields = httpSchemas(method).headers;
  const isWrite = method.http?.verb !== 'get';
  const own = fields.map(({ comment, rules }) => [
    rules.header === 'if-match' ? 'If-Match' : rules.header,
    { type: 'string', description: comment || 'Entity tag of the version that the change is based on.', examples: ['"3"'] },
  ]);
  const properties = {
    ...Object.fromEntries(own),
    ...(isWrite ? { 'Idempotency-Key': idempotencyKey, 'X-CSRF': csrf } : {}),
    'X-Company-Id': companyIdHeader,
    traceparent: { type: 'string', description: 'W3C trace context to continue.' },
  };
  return { type: 'object', properties, required: fields.some(({ rules }) => rules.required) ? ['If-Match'] : [] };
}

const idempotencyKey: JsonSchema = {
  type: 'string',
  minLength: 1,
  maxLength: 128,
  description: 'The same key and body give the same answer, so that a write can be sent again; another body is 409.',
};

const csrf: JsonSchema = { type: 'string', enum: ['1'], description: 'Needed with a session cookie.' };

export const companyIdHeader: JsonSchema = {
  type: 'string',
  maxLength: 128,
  description: 'Chooses among the companies of the token; needed only with several.',
};

function success(method: MethodModel): JsonSchema {
  const { status } = method.rules;
  if (status === 204) return { type: 'null', description: 'Done.' };
  const header = (text: string) => ({ type: 'string', description: text });
  return {
    description: status === 201 ? 'Made.' : status === 202 ? 'Accepted.' : 'As asked.',
    headers: {
      'x-trace-id': header('Trace id of the request.'),
      ...(isEntity(method) ? { etag: header('Version of the entity.') } : {}),
      ...(status === 201 ? { location: header('Where it can be read.') } : {}),
    },
    content: contentOf(method),
  };
}

function contentOf(method: MethodModel): JsonSchema {
  const { response, responseStream } = method;
  if (isEventStream(method)) return { 'text/event-stream': { schema: { type: 'string' } } };
  if (isHttpBody(response)) return { '*/*': { schema: { type: 'string', format: 'binary' } } };
  return responseStream
    ? { 'application/x-ndjson': { schema: schemaRef(response) } }
    : { 'application/json': { schema: schemaRef(response) } };
}

/** Codes by which a method may refuse, by its form. */
function problems(method: MethodModel): Record<string, JsonSchema> {
  const { http, rules } = method;
  const isWrite = http?.verb !== 'get';
  const versioned = httpSchemas(method).headers.some((field) => field.rules.header === 'if-match');
  const codes: ErrorCode[] = [
    'invalid_request',
    ...(isWrite ? (['invalid_json'] as const) : []),
    ...(rules.any_company ? [] : (['company_required'] as const)),
    'token_missing',
    'token_invalid',
    'token_expired',
    'no_role',
    'no_company',
    'wrong_company',
    'wrong_client',
    ...(isWrite ? (['cross_site_request'] as const) : []),
    ...(http?.params.length ? (['not_found'] as const) : []),
    ...(isWrite ? (['conflict', 'already_exists', 'version_conflict', 'idempotency_conflict'] as const) : []),
    ...(versioned ? (['version_mismatch'] as const) : []),
    ...(isWrite ? (['too_large', 'unsupported_media_type'] as const) : []),
    ...(versioned ? (['precondition_required'] as const) : []),
    'rate_limited',
    'internal',
    'unavailable',
    'timeout',
  ];
  return problemAnswers(codes);
}

/** The problem documents of the given codes, by status. */
export function problemAnswers(codes: readonly ErrorCode[]): Record<string, JsonSchema> {
  const byStatus = [...Map.groupBy(codes, (code) => errorCodeEntry(code).http)];
  return Object.fromEntries(byStatus.map(([status, list]) => [status, problem(list)]));
}

function problem(codes: readonly ErrorCode[]): JsonSchema {
  const text = codes.map((code) => `\`${code}\`: ${errorCodeEntry(code).title}`).join('\n\n');
  return { description: text, content: { 'application/problem+json': { schema: { $ref: 'Problem#' } } } };
}

const guide = `REST in front of the fleet's gRPC services, derived from their protos.

Send \`Authorization: Bearer <access token>\`; browsers log in at \`/v1/auth/login\`. Lists are paged: \`page_size\`, and \`page_token\` from \`next_page_token\` of the page before.
Errors are problem documents (RFC 9457); a fault's \`path\` is a JSON Pointer to the field, in whichever part of the request it came, or
\`/headers/<name>\`. Every answer has \`x-trace-id\`.`;

/** How a request says who calls, for the API document. */
const securitySchemes = {
  bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
  session: {
    type: 'apiKey',
    in: 'cookie',
    name: '__Host-session',
    description:
      "A browser's session, from `/v1/auth/login`. With it, what is not GET needs `X-CSRF: 1` and must come from a page of this origin " +
      `(${errorCodeEntry('cross_site_request').http} \`cross_site_request\`). An \`Authorization\` header goes before it.`,
  },
} as const;

const sessionTag = { name: 'Session', description: 'Who the caller is, and logins of people.' };

/** Settings of @fastify/swagger for the services that have routes. */
export function openApiOptions(services: readonly ServiceModel[], publicUrl: string | undefined): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.1',
      info: { title: 'Biz Retail', version: '1.0.0', description: guide },
      servers: [{ url: publicUrl ?? '/' }],
      tags: [...services.map((service) => ({ name: tagOf(service), description: service.comment })), sessionTag],
      components: { securitySchemes },
    },
    refResolver: { buildLocalReference: (json, _base, _fragment, index) => (typeof json.$id === 'string' ? json.$id : `def-${index}`) },
    transformObject: (document) => withoutOwnKeywords('openapiObject' in document ? document.openapiObject : {}),
  };
}

/** Keywords that only our validators know say nothing to a reader of the document. */
function withoutOwnKeywords(document: object): object {
  return JSON.parse(JSON.stringify(document, (key, value: unknown) => (key === 'wellFormed' && value === true ? undefined : value)));
}
