import { isIP } from 'node:net';
import type { Ajv } from 'ajv';
import ajvFormats from 'ajv-formats';
import { cnpj, cpf } from 'cpf-cnpj-validator';

/** CPF with correct check digits (Receita Federal), with or without its mask. */
export function isCpf(value: string): boolean {
  return /^(\d{11}|\d{3}\.\d{3}\.\d{3}-\d{2})$/.test(value) && cpf.isValid(value);
}

/** CNPJ with correct check digits, with or without its mask; alphanumeric since July 2026 (IN RFB 2.229/2024), upper case. */
export function isCnpj(value: string): boolean {
  return /^([0-9A-Z]{12}\d{2}|[0-9A-Z]{2}\.[0-9A-Z]{3}\.[0-9A-Z]{3}\/[0-9A-Z]{4}-\d{2})$/.test(value) && cnpj.isValid(value);
}

const formats: Record<string, (value: string) => boolean> = {
  cpf: isCpf,
  cnpj: isCnpj,
  cpf_cnpj: (value) => isCpf(value) || isCnpj(value),
  ip: (value) => isIP(value) !== 0,
  // E.164, or as people write it in Brazil
  phone: (value) => /^\+?[0-9 ().-]{8,25}$/.test(value) && value.replaceAll(/\D/g, '').length >= 8,
  locale: (value) => ['pt-BR', 'en'].includes(value),
  json: isJson,
};

/** What a person reads when a value does not have the format. */
export const formatMessages: Record<string, string> = {
  cpf: 'is not a valid CPF (check digits)',
  cnpj: 'is not a valid CNPJ (check digits)',
  cpf_cnpj: 'is neither a valid CPF nor a valid CNPJ (check digits)',
  email: 'is not an e-mail address',
  uuid: 'is not a UUID',
  'date-time': 'is not an RFC 3339 date-time with a zone',
  ip: 'is not an IP address',
  phone: 'is not a telephone number',
  locale: 'is not one of pt-BR, en',
  uri: 'is not a URI',
  json: 'is not JSON',
};

/** Teaches an Ajv our formats, and `wellFormed`: text without lone surrogates, which UTF-8 could not carry. */
export function addFormats(ajv: Ajv): Ajv {
  ajvFormats.default(ajv, ['email', 'uuid', 'date-time', 'uri']);
  for (const [name, validate] of Object.entries(formats)) ajv.addFormat(name, { type: 'string', validate });
  ajv.addKeyword({
    keyword: 'wellFormed',
    type: 'string',
    schemaType: 'boolean',
    validate: (_: boolean, value: string) => value.isWellFormed(),
  });
  return ajv;
}

function isJson(value: string): boolean {
  try {
    JSON.parse(value);
    return true;
  } catch {
    return false;
  }
}
