import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository that the tests run in. */
export const thisRelease = fileURLToPath(new URL('../..', import.meta.url));

/** A text of the next release's in place of one of this release's. */
export type Edit = { readonly file: string; readonly from: string; readonly to: string };

/**
 * Makes what could be the next release in a temporary folder: the contract, the libraries and some services of this one, with edits. What is
 * installed is linked. Throws when an edit's text is not there. Disposing removes the folder.
 */
export function nextRelease(services: readonly string[], edits: readonly Edit[]): Disposable & { readonly folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'biz-next-'));
  const libraries = readdirSync(join(thisRelease, 'libs')).map((name) => `libs/${name}`);
  const workspaces = ['protos', ...libraries, ...services.map((name) => `services/${name}`)];
  for (const workspace of workspaces) copy(workspace, folder);
  linkInstalled(folder, workspaces);
  for (const { file, from, to } of edits) {
    const text = readFileSync(join(folder, file), 'utf8');
    if (!text.includes(from)) throw new Error(`${file} has no ${from}: the next release of this test is to be brought up to date`);
    writeFileSync(join(folder, file), text.replaceAll(from, to));
  }
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

function copy(workspace: string, folder: string): void {
  const from = join(thisRelease, workspace);
  cpSync(from, join(folder, workspace), { recursive: true, filter: (path) => !['node_modules', 'dist'].includes(basename(path)) });
  const installed = join(from, 'node_modules');
  if (existsSync(installed)) symlinkSync(installed, join(folder, workspace, 'node_modules'));
}

/** Packages from elsewhere are those of this release; our own are the copies, as far as there is one. */
function linkInstalled(folder: string, workspaces: readonly string[]): void {
  const installed = join(thisRelease, 'node_modules');
  const own = join(folder, 'node_modules/@biz');
  mkdirSync(own, { recursive: true });
  for (const name of readdirSync(installed)) {
    if (name !== '@biz') symlinkSync(join(installed, name), join(folder, 'node_modules', name));
  }
  for (const workspace of workspaces) symlinkSync(join(folder, workspace), join(own, basename(workspace)));
}
