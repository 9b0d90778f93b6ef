import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '@biz/local';
import { parse } from 'yaml';

/** The one file. */
export const composeFile = join(repository, 'docker-compose.yml');

/**
 * The file as Compose takes it with these variables: anchors and merges resolved, `${NAME}` and `${NAME:-default}` replaced. Throws when the
 * text has a variable of another form, or one that is neither given nor has a default.
 */
export function readCompose(variables: Readonly<Record<string, string>> = {}, text = readFileSync(composeFile, 'utf8')): Compose {
  const filled = text.replaceAll(variable, (whole, name: string, fallback?: string) => {
    const value = variables[name] || fallback;
    if (value === undefined) throw new Error(`${whole} is not given and has no default`);
    return value;
  });
  const left = filled.replaceAll(/^\s*#.*$/gm, '').match(/\$\{[^}]*\}?/);
  if (left) throw new Error(`${left[0]} is a form of variable that is not used here`);
  return parse(filled, { merge: true }) as Compose;
}

/** Names of the variables that the file asks for, each once. */
export function variablesOf(text = readFileSync(composeFile, 'utf8')): string[] {
  return [...new Set([...text.matchAll(variable)].map(([, name = '']) => name))].sort();
}

const variable = /\$\{([A-Z_]+)(?::-([^}]*))?\}/g;

/** `volume:/path` or `volume:/path:ro`. */
export function mountsOf({ volumes = [] }: ComposeService): { source: string; path: string; readOnly: boolean }[] {
  return volumes.map((text) => {
    const [source = '', path = '', mode] = text.split(':');
    return { source, path, readOnly: mode === 'ro' };
  });
}

/** The part of a Compose file that something here reads. */
export interface Compose {
  name: string;
  services: Record<string, ComposeService>;
  networks: Record<string, unknown>;
  volumes: Record<string, unknown>;
  [extension: `x-${string}`]: unknown;
}

export interface ComposeService {
  image: string;
  build?: { context: string; dockerfile: string; args: Record<string, string> };
  command?: string[];
  working_dir?: string;
  user?: string;
  environment?: Record<string, string>;
  depends_on?: Record<string, { condition: string; required?: boolean }>;
  volumes?: string[];
  ports?: string[];
  networks?: string[];
  healthcheck?: { test?: string[]; disable?: boolean };
  deploy?: { resources?: { limits?: Record<string, unknown> } };
  read_only?: boolean;
  tmpfs?: string[];
  cap_drop?: string[];
  cap_add?: string[];
  security_opt?: string[];
  privileged?: boolean;
  pull_policy?: string;
  restart?: string;
  [member: string]: unknown;
}
