import { readdirSync, readFileSync } from 'node:fs';
import type { Fault } from '@biz/errors';
import Handlebars from 'handlebars';

/** Languages that every template is written in. */
export const locales = ['pt-BR', 'en'] as const;
export type Locale = (typeof locales)[number];

export const defaultLocale: Locale = 'pt-BR';

/** A message ready to be sent. */
export type Rendered = { readonly subject: string; readonly text: string; readonly html: string };

export type Templates = {
  readonly names: readonly string[];
  /** What is wrong with the variables given for a template; paths are below `/data`. Empty when it can be rendered. */
  faults(name: string, data: unknown): Fault[];
  /** Throws when the template is unknown or a variable is missing: `faults` tells beforehand. */
  render(name: string, locale: Locale, data: Variables): Rendered;
};

export type Variables = Readonly<Record<string, string>>;

const folder = new URL('../templates/', import.meta.url);

/**
 * Reads and compiles every template of the folder: `<name>.json` names its variables, `<name>.<locale>.txt.hbs` holds the subject (first
 * line) and the text, `<name>.<locale>.html.hbs` the same as a page. Throws when one of them is missing, so that a gap is found at start.
 */
export function loadTemplates(): Templates {
  const html = Handlebars.create();
  html.registerPartial('layout', html.compile(read('layout.html.hbs'), { strict: true }));
  const names = readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
  const templates = new Map(names.map((name) => [name, compile(html, name)]));
  return {
    names,
    faults: (name, data) => {
      const template = templates.get(name);
      return template ? faultsOf(template.variables, data) : [{ path: '/template', message: `is not one of ${names.join(', ')}` }];
    },
    render: (name, locale, data) => {
      const template = templates.get(name);
      if (!template) throw new Error(`There is no template ${name}.`);
      return template.render(locale, data);
    },
  };
}

function compile(html: typeof Handlebars, name: string): Template {
  const { variables } = JSON.parse(read(`${name}.json`)) as { variables: Record<string, VariableRule> };
  const compiled = new Map(
    locales.map((locale) => {
      const [subject = '', ...lines] = read(`${name}.${locale}.txt.hbs`).split('\n');
      return [
        locale,
        {
          subject: Handlebars.compile(subject, { strict: true, noEscape: true }),
          text: Handlebars.compile(lines.join('\n').trimStart(), { strict: true, noEscape: true }),
          html: html.compile(read(`${name}.${locale}.html.hbs`), { strict: true }),
        },
      ];
    }),
  );
  const absent = Object.fromEntries(Object.keys(variables).map((variable) => [variable, '']));
  return {
    variables,
    render(locale, data) {
      const parts = compiled.get(locale);
      if (!parts) throw new Error(`Template ${name} is not written in ${locale}.`);
      const values = { ...absent, ...mapValues(data, withoutControls), locale };
      return { subject: oneLine(parts.subject(values)), text: parts.text(values), html: parts.html(values) };
    },
  };
}

function read(file: string): string {
  return readFileSync(new URL(file, folder), 'utf8');
}

function faultsOf(rules: Record<string, VariableRule>, data: unknown): Fault[] {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return [{ path: '/data', message: 'must be an object' }];
  const values = data as Record<string, unknown>;
  const faults: Fault[] = [];
  for (const [name, { max, optional }] of Object.entries(rules)) {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined || value === null || value === '') {
      if (!optional) faults.push({ path: `/data/${name}`, message: 'is required by the template' });
    } else if (typeof value !== 'string') faults.push({ path: `/data/${name}`, message: 'must be of type string' });
    else if ([...value].length > max) faults.push({ path: `/data/${name}`, message: `must have at most ${max} characters` });
  }
  for (const name of Object.keys(values)) {
    if (!Object.hasOwn(rules, name)) faults.push({ path: `/data/${pointer(name)}`, message: 'is not a variable of the template' });
  }
  return faults.slice(0, 50);
}

/** One reference token of a JSON Pointer (RFC 6901), cut so that nonsense does not come back whole. */
function pointer(name: string): string {
  return name.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1');
}

/** A header is one line: what would end it, or hide in it, becomes a space (RFC 5322, 2.2; fault 22). */
function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}

/** Control characters do nothing good in a message, ANSI sequences and NUL least of all; line ends and tabs stay. */
function withoutControls(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(/[^\P{Cc}\n\t]/gu, '');
}

function mapValues(values: Variables, change: (text: string) => string): Variables {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));
}

type VariableRule = { readonly max: number; readonly optional?: boolean };
type Template = { readonly variables: Record<string, VariableRule>; render(locale: Locale, data: Variables): Rendered };
