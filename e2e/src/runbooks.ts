import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repository } from '@biz/local';

/** The commands of a step of a runbook: a block of a shell that begins with three backticks and `sh run=<step>`. Throws when it has none of that name. */
export async function runbookStep(runbook: string, step: string): Promise<string> {
  const file = join(repository, 'docs', 'runbooks', runbook);
  const found = [...(await readFile(file, 'utf8')).matchAll(/^```sh run=(\S+)\n([\s\S]*?)^```$/gm)].find(([, name]) => name === step);
  if (found?.[2] === undefined) throw new Error(`${runbook} has no step ${step}`);
  return found[2];
}
