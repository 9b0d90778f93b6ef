import { type MessageModel, type MethodModel, renderJson } from '@biz/protos';
import type { FastifyReply } from 'fastify';

type Values = Record<string, unknown>;

/** Sends a decoded gRPC answer as HTTP: status, JSON text, entity tag, location. */
export type SendAnswer = (reply: FastifyReply, answer: object, params: unknown) => FastifyReply;

/** Compiles the way from the message of one method to HTTP, once at start. */
export function compileAnswer(method: MethodModel): SendAnswer {
  const { status } = method.rules;
  if (status === 204) return (reply) => reply.code(204).send();
  if (isHttpBody(method.response)) {
    return (reply, answer) => {
      const type = contentTypeOf(answer);
      if (/^text\/html\b/i.test(type)) reply.header('content-security-policy', pagePolicy);
      return reply.code(status).header('content-type', type).send(dataOf(answer));
    };
  }
  const location = status === 201 || status === 202 ? locationOf(method) : undefined;
  const tagged = isEntity(method);
  return (reply, answer, params) => {
    reply.code(status).header('content-type', 'application/json; charset=utf-8');
    if (tagged) reply.header('etag', `"${String((answer as Values).version)}"`);
    const found = location?.(answer as Values, params as Values);
    if (found !== undefined) reply.header('location', found);
    return reply.send(renderJson(method.response, answer));
  };
}

/** A page that a service made may have styles of its own; it loads nothing, runs nothing, sends nothing, and nobody frames it. */
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";

type HttpBody = { readonly content_type?: string; readonly data?: Uint8Array };

/** Whether a message is a body as it stands, with a content type of its own (`google.api.HttpBody`). */
export function isHttpBody({ fullName }: MessageModel): boolean {
  return fullName === 'google.api.HttpBody';
}

export function contentTypeOf(body: HttpBody): string {
  return body.content_type || 'application/octet-stream';
}

export function dataOf({ data }: HttpBody): Buffer {
  return data ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.alloc(0);
}

/** Whether an answer is one entity, whose version is its entity tag. */
export function isEntity({ response }: MethodModel): boolean {
  const has = (name: string, type: string) =>
    response.fields.some((field) => field.name === name && field.type === type && !field.repeated);
  return has('id', 'string') && has('version', 'int64');
}

/** Where what was made can be read: the service's own GET route that answers with the same message. */
function locationOf(method: MethodModel): ((answer: Values, params: Values) => string | undefined) | undefined {
  const getter = method.service.methods.find(
    ({ http, response }) => http?.verb === 'get' && http.params.length > 0 && response.fullName === method.response.fullName,
  );
  const path = getter?.http?.path;
  if (path === undefined) return undefined;
  return (answer, params) => {
    const values = { ...params, ...answer };
    const names = getter?.http?.params ?? [];
    if (names.some((name) => typeof values[name] !== 'string' || values[name] === '')) return undefined;
    return path.replaceAll(/\{([^}]+)\}/g, (_, name: string) => encodeURIComponent(String(values[name])));
  };
}
