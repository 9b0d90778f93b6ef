// The contract breaks nothing that the last release promised: `buf breaking` for messages, fields, types and methods, and contractBreaks of
// @biz/protos for what our options and the routes promise. An intended break stands with its reason in protos/releases/exceptions.json.
// `--release` keeps the contract as that of the root package's version, and empties the exceptions.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { contractBreaks, loadContract } from '@biz/protos';

type Exception = { finding: string; reason: string };

const repository = fileURLToPath(new URL('../..', import.meta.url));
const given = process.argv.slice(2);
/** The contract that is looked at; a test gives another one. */
const protos = given.find((argument) => !argument.startsWith('--')) ?? join(repository, 'protos');
const releases = join(repository, 'protos/releases');
const exceptionsFile = join(protos, 'releases/exceptions.json');
const buf = join(repository, 'node_modules/.bin/buf');

if (given.includes('--release')) release();
else check();

function check(): void {
  const last = lastRelease();
  const findings = [...new Set([...bufFindings(last), ...optionFindings(last)])];
  const exceptions = readExceptions();
  const intended = new Set(exceptions.map(({ finding }) => finding));
  const broken = findings.filter((finding) => !intended.has(finding));
  const idle = exceptions.filter(({ finding }) => !findings.includes(finding));
  for (const finding of broken) console.error(`breaks ${last}: ${finding}`);
  for (const { finding } of idle) console.error(`releases/exceptions.json: nothing breaks so: ${finding}`);
  for (const { finding, reason } of exceptions) if (!reason?.trim()) console.error(`releases/exceptions.json: has no reason: ${finding}`);
  const unreasoned = exceptions.filter(({ reason }) => !reason?.trim()).length;
  const faults = broken.length + idle.length + unreasoned;
  if (broken.length > 0)
    console.error('Keep the promise, or write the finding and its reason into protos/releases/exceptions.json (docs/versioning.md).');
  console.log(`breaking: compared with ${last}, ${findings.length - broken.length} intended breaks, ${faults} faults`);
  process.exitCode = faults ? 1 : 0;
}

function release(): void {
  const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { version: string };
  const folder = join(releases, version);
  if (existsSync(folder)) {
    console.error(`${version} is released: raise the version in package.json first`);
    process.exitCode = 1;
    return;
  }
  for (const part of ['biz', 'google']) cpSync(join(repository, 'protos', part), join(folder, part), { recursive: true });
  writeFileSync(join(releases, 'exceptions.json'), '[]\n');
  console.log(`breaking: the contract is kept as that of ${version}`);
}

function lastRelease(): string {
  const versions = readdirSync(releases, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const last = versions.map(({ name }) => name).sort((one, other) => one.localeCompare(other, 'en', { numeric: true }));
  if (last.length === 0) throw new Error('protos/releases holds no release; npm run release:protos makes one');
  return last.at(-1) as string;
}

function readExceptions(): Exception[] {
  return existsSync(exceptionsFile) ? (JSON.parse(readFileSync(exceptionsFile, 'utf8')) as Exception[]) : [];
}

function optionFindings(last: string): string[] {
  const breaks = contractBreaks(loadContract({ root: join(releases, last) }), loadContract({ root: protos }));
  return breaks.map(({ rule, element, message }) => `${rule} ${element}: ${message}`);
}

/** What buf says, its rule first. */
function bufFindings(last: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'biz-breaking-'));
  try {
    const images = [join(releases, last), protos].map((root, index) => build(root, join(folder, String(index))));
    const [before = '', after = ''] = images;
    const options = { cwd: repository, encoding: 'utf8' } as const;
    const { status, stdout, stderr } = spawnSync(buf, ['breaking', after, '--against', before, '--error-format', 'json'], options);
    if (status !== 0 && status !== 100) throw new Error(`buf breaking: ${stderr}`);
    const lines = stdout.split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line) as { type: string; message: string }).map(({ type, message }) => `${type} ${message}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** An image of a contract; google/api, which protobufjs ships, is put beside it, so that nothing is fetched. */
function build(root: string, folder: string): string {
  for (const part of ['biz', 'google']) cpSync(join(root, part), join(folder, part), { recursive: true });
  cpSync(join(repository, 'node_modules/protobufjs/google/api'), join(folder, 'google/api'), { recursive: true });
  const image = `${folder}.binpb`;
  execFileSync(buf, ['build', folder, '-o', image], { stdio: ['ignore', 'ignore', 'inherit'] });
  return image;
}
