import { type Contract, type FieldModel, type JsonSchema, jsonSchema, type MessageModel } from '@biz/protos';
import { isHttpBody } from './answer.ts';

/** The problem document, as problem.ts writes it. */
const problem: JsonSchema = {
  $id: 'Problem',
  type: 'object',
  description: 'RFC 9457 problem document.',
  required: ['type', 'title', 'status', 'code', 'detail', 'trace_id'],
  properties: {
    type: { type: 'string', format: 'uri', examples: ['urn:biz-retail:error:invalid_request'] },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', description: 'Stable; docs/errors.md lists all.', examples: ['invalid_request'] },
    detail: { type: 'string' },
    trace_id: { type: 'string', description: 'Finds the request in logs and traces.' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['path', 'message'],
        properties: { path: { type: 'string', description: 'JSON Pointer.', examples: ['/name'] }, message: { type: 'string' } },
      },
    },
  },
};

/** What stands in the place of a personal value. */
const sealed: JsonSchema = {
  $id: 'Sealed',
  type: 'object',
  description: 'A personal value that the caller may not open, or whose key was destroyed.',
  properties: { sealed: { type: 'boolean', enum: [true] }, erased: { type: 'boolean', enum: [true] } },
};

/** Schemas that answers refer to: the problem document, the sealed value, and every message of the contract that can be in an answer. */
export function components(contract: Contract): JsonSchema[] {
  const messages = new Map<string, MessageModel>();
  const visit = (message: MessageModel) => {
    if (messages.has(message.fullName)) return;
    messages.set(message.fullName, message);
    for (const field of message.fields) if (field.message) visit(field.message);
  };
  for (const { http, response } of contract.services.flatMap(({ methods }) => methods)) {
    if (http && !isHttpBody(response)) visit(response);
  }
  return [problem, sealed, ...[...messages.values()].map(answerSchema)];
}

/** A reference to a message's schema, as Fastify resolves it. */
export function schemaRef(message: MessageModel): JsonSchema {
  return { $ref: `${schemaId(message)}#` };
}

/** `biz.team.v1.Team` → `team.v1.Team`: short, and of its own in the whole contract. */
function schemaId(message: MessageModel): string {
  return message.fullName.replace(/^biz\./, '');
}

function answerSchema(message: MessageModel): JsonSchema {
  const schema = jsonSchema(message, 'response');
  const properties = schema.properties as Record<string, JsonSchema>;
  for (const field of message.fields) {
    const own = properties[field.name];
    if (own) properties[field.name] = answerField(field, own);
  }
  return { $id: schemaId(message), ...schema };
}

function answerField(field: FieldModel, schema: JsonSchema): JsonSchema {
  const { description } = schema;
  const told = description === undefined ? {} : { description };
  if (field.message && field.map) return { ...told, type: 'object', additionalProperties: schemaRef(field.message) };
  if (field.message && field.repeated) return { ...told, type: 'array', items: schemaRef(field.message) };
  if (field.message) return { ...told, anyOf: [schemaRef(field.message), { type: 'null' }] };
  return field.rules.personal ? { ...told, anyOf: [schema, { $ref: 'Sealed#' }] } : schema;
}
