import { readFileSync } from 'node:fs';
import { resolveSecrets } from '@biz/secrets';

/** What stands in one of the ways in which a setting may come, or what is wrong with that. */
export type Setting = { readonly value: string | undefined } | { readonly fault: string };

/**
 * A setting `NAME` of the settings `names`: its own value, or the content of the file that `NAME_FILE` names, without white space at its ends. An
 * empty variable counts as none. `NAME_SECRET` must have been replaced by then (`withSecrets`).
 */
export function settingOf(name: string, names: readonly string[], env: NodeJS.ProcessEnv): Setting {
  const value = env[name] || undefined;
  const [file, secret] = [`${name}_FILE`, `${name}_SECRET`].map((other) => (names.includes(other) ? undefined : env[other] || undefined));
  if (secret !== undefined) return { fault: `${name}_SECRET: this program asks no secret manager; give ${name} or ${name}_FILE` };
  if (value !== undefined && env[`${name}_FILE`]) return { fault: `${name}_FILE: ${name} is given too; give one of them` };
  if (file === undefined) return { value };
  try {
    return { value: readFileSync(file, 'utf8').trim() };
  } catch (error) {
    return { fault: `${name}_FILE: ${file} cannot be read (${(error as NodeJS.ErrnoException).code})` };
  }
}

/**
 * The environment for `readConfig`, with those of the settings `names` that came as `NAME_SECRET` read from the secret manager. The values are in the
 * copy that is given back and nowhere else: neither in `process.env` nor in `/proc/<pid>/environ`. Throws one Error that names every fault.
 */
export function withSecrets(names: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Record<string, string>> {
  return resolveSecrets(names, env);
}
