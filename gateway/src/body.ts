import type { IncomingHttpHeaders } from 'node:http';
import { AppError } from '@biz/errors';
import { decodeUtf8, isJsonObject, isRawNumber, type JsonValue, parseJson } from '@biz/json';
import type { FieldModel, MessageModel } from '@biz/protos';
import type { FastifyInstance } from 'fastify';

/** Media types of a body: a change may be sent as a merge patch (RFC 7396) or as plain JSON, which means the same here. */
export const bodyTypes = { json: ['application/json'], patch: ['application/merge-patch+json', 'application/json'] } as const;

/**
 * Gives the server our own body parsers: bytes must be UTF-8, JSON is read strictly (no key twice, bounded depth, no `__proto__`), an empty
 * body is no body. Throws JsonError; any other content type is AppError `unsupported_media_type`.
 */
export function useBodyParsers(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser([...bodyTypes.patch], { parseAs: 'buffer' }, async (_request: unknown, bytes: Buffer) =>
    bytes.length === 0 ? undefined : parseJson(decodeUtf8(bytes), { protoKeys: 'reject' }),
  );
  app.addContentTypeParser('*', async (request: { headers: IncomingHttpHeaders }) => {
    if (request.headers['content-length'] !== '0') throw unsupported('The body must be JSON.');
    return undefined;
  });
}

/** Throws AppError `unsupported_media_type` when the body's headers are not of a form that the route takes; before a byte of it is read. */
export function assertBodyHeaders(headers: IncomingHttpHeaders, types: readonly string[]): void {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') throw unsupported('A compressed body is not taken.');
  const type = headers['content-type'];
  if (type === undefined || headers['content-length'] === '0') return;
  const [name = '', ...parameters] = type.split(';').map((part) => part.trim().toLowerCase());
  if (!types.includes(name)) throw unsupported(`The body must be ${types.join(' or ')}.`);
  const charset = parameters.find((parameter) => parameter.startsWith('charset='));
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) throw unsupported('JSON is UTF-8 (RFC 8259, section 8.1).');
}

function unsupported(message: string): AppError {
  return new AppError('unsupported_media_type', message);
}

type Step = (owner: Record<string, unknown>) => void;

/**
 * Makes numbers of the parsed body plain where the proto has a number: digits are kept only inside `json` fields. Compiled from the
 * message; undefined when it has nothing to do.
 */
export function numberStep(message: MessageModel): Step | undefined {
  return messageStep(message, (field) => (isNumeric(field) ? (value) => (isRawNumber(value) ? Number(value.rawJSON) : value) : undefined));
}

/** Turns the objects in `json` fields of a valid body into the JSON text that the message carries. */
export function jsonTextStep(message: MessageModel): Step | undefined {
  return messageStep(message, (field) => (field.rules.json ? (value) => (value === null ? null : JSON.stringify(value)) : undefined));
}

function isNumeric(field: FieldModel): boolean {
  return field.type !== 'message' && field.type !== 'string' && field.type !== 'bytes' && field.type !== 'bool';
}

type Change = (value: unknown) => unknown;

function messageStep(message: MessageModel, changeOf: (field: FieldModel) => Change | undefined): Step | undefined {
  const steps = message.fields.flatMap((field): Step[] => {
    const inner = field.message ? messageStep(field.message, changeOf) : undefined;
    const change: Change | undefined = inner ? (value) => within(value, inner) : changeOf(field);
    if (!change) return [];
    return [
      (owner) => {
        const value = owner[field.name];
        if (value !== undefined) owner[field.name] = field.repeated || field.map ? each(value, change) : change(value);
      },
    ];
  });
  if (steps.length === 0) return undefined;
  return (owner) => {
    for (const step of steps) step(owner);
  };
}

function within(value: unknown, step: Step): unknown {
  if (isJsonObject(value as JsonValue)) step(value as Record<string, unknown>);
  return value;
}

function each(values: unknown, change: Change): unknown {
  if (Array.isArray(values)) return values.map(change);
  if (!isJsonObject(values as JsonValue)) return values;
  return Object.fromEntries(Object.entries(values as object).map(([key, value]) => [key, change(value)]));
}
