import type { FieldModel, MessageModel } from './model.ts';
import { isSealList } from './schema.ts';

type Json = Record<string, unknown>;
type Render = (value: Json) => string;

const renderers = new WeakMap<MessageModel, Render>();

/**
 * JSON text of a decoded message as clients see it: every field of the proto, absent optionals as null, `json` fields spliced in as they
 * stand (so that no digit is lost), personal fields that the service did not open as `{"sealed":true}` or `{"erased":true}`.
 */
export function renderJson(message: MessageModel, value: object): string {
  return rendererOf(message)(value as Json);
}

function rendererOf(message: MessageModel): Render {
  const known = renderers.get(message);
  if (known) return known;
  const fields = message.fields
    .filter((field) => !isSealList(field))
    .map((field) => ({ name: field.name, key: `${JSON.stringify(field.name)}:`, field }));
  const render: Render = (value) => {
    const sealed = value.sealed_fields as string[] | undefined;
    const erased = value.erased_fields as string[] | undefined;
    const parts = fields.map(({ name, key, field }) => {
      if (sealed?.includes(name)) return `${key}{"sealed":true}`;
      if (erased?.includes(name)) return `${key}{"erased":true}`;
      return key + renderField(field, value[name]);
    });
    return `{${parts.join(',')}}`;
  };
  renderers.set(message, render);
  return render;
}

function renderField(field: FieldModel, value: unknown): string {
  if (field.map) {
    const entries = Object.entries((value ?? {}) as Json);
    return `{${entries.map(([key, entry]) => `${JSON.stringify(key)}:${renderValue(field, entry)}`).join(',')}}`;
  }
  if (field.repeated) return `[${((value ?? []) as unknown[]).map((item) => renderValue(field, item)).join(',')}]`;
  if (value === undefined || value === null) return field.optional || field.message ? 'null' : defaultText(field);
  return renderValue(field, value);
}

function renderValue(field: FieldModel, value: unknown): string {
  if (field.message) return renderJson(field.message, value as object);
  if (field.rules.json) return String(value);
  if (field.type === 'bytes') return JSON.stringify(Buffer.from(value as Uint8Array).toString('base64'));
  return JSON.stringify(value);
}

function defaultText(field: FieldModel): string {
  if (field.rules.json) return 'null';
  switch (field.type) {
    case 'string':
    case 'bytes':
      return '""';
    case 'bool':
      return 'false';
    default:
      return '0';
  }
}
