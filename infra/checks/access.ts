// docs/access.md is what the protos say of access. `--write` writes it; without, a file that says anything else fails.
import { readFileSync, writeFileSync } from 'node:fs';
import { loadContract } from '@biz/protos';
import { accessMarkdown } from '@biz/rpc';

const file = new URL('../../docs/access.md', import.meta.url);
const wanted = accessMarkdown(loadContract());
if (process.argv.includes('--write')) writeFileSync(file, wanted);
const isCurrent = present() === wanted;
console.log(isCurrent ? 'access: docs/access.md says what the protos say' : 'access: docs/access.md is out of date; run npm run access');
process.exitCode = isCurrent ? 0 : 1;

function present(): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
