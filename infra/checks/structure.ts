// What the linter cannot see: dependencies point one way (services, gateway → libs → protos), no service knows another, a package is used
// by its entry point and declared where it is used, and files stay small enough to be read.
import { globSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Lines of a source file; past it a file has a reason (named here) or is split. */
const maxLines = 300;
const longFiles = new Map<string, string>();

/** Tools of the root package that any test may use. */
const rootTools = new Set(['vitest']);

type Package = { name: string; dir: string; declared: Set<string> };

const sources = globSync(
  ['protos', 'libs/*', 'services/*', 'gateway', 'infra/docker', 'infra/kibana', 'infra/local', 'infra/otel', 'infra/setup', 'bench'].map(
    (dir) => `${dir}/**/*.ts`,
  ),
  {
    exclude: (path) => /node_modules|dist|\.local|generated/.test(path),
  },
).sort();

const packages = globSync(
  ['protos', 'libs/*', 'services/*', 'gateway', 'infra/docker', 'infra/kibana', 'infra/local', 'infra/otel', 'infra/setup', 'bench'].map(
    (dir) => `${dir}/package.json`,
  ),
).map((file): Package => {
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  const declared = [manifest.dependencies, manifest.devDependencies].flatMap((part) => Object.keys(part ?? {}));
  return { name: manifest.name, dir: dirname(file), declared: new Set(declared) };
});

const faults = sources.flatMap((file) => {
  const owner = packages.find((candidate) => file.startsWith(`${candidate.dir}/`));
  const text = readFileSync(file, 'utf8');
  return [...(owner ? importFaults(file, owner, text) : []), ...sizeFaults(file, text)];
});
for (const fault of faults) console.error(fault);
console.log(`structure: ${sources.length} files, ${faults.length} faults`);
process.exitCode = faults.length ? 1 : 0;

function importFaults(file: string, owner: Package, text: string): string[] {
  const imports = [...text.matchAll(/^(?:import|export)[^'"]*?from\s+'([^']+)'|^import\s+'([^']+)'/gm)].map(
    (match) => match[1] ?? match[2] ?? '',
  );
  return imports.flatMap((target) => {
    if (target.startsWith('.')) {
      const up = target.split('/').filter((part) => part === '..').length;
      return up >= file.split('/').length - owner.dir.split('/').length
        ? [`${file}: ${target} leaves its package; import the package by name`]
        : [];
    }
    if (target.startsWith('node:')) return [];
    const name = target
      .split('/')
      .slice(0, target.startsWith('@') ? 2 : 1)
      .join('/');
    const used = packages.find((candidate) => candidate.name === name);
    if (used && target !== name) return [`${file}: ${target} goes past the entry point of ${name}`];
    if (used && layer(used) > layer(owner)) return [`${file}: ${owner.name} may not depend on ${name}`];
    // a benchmark imports what it measures
    if (used?.dir.startsWith('services/') && used !== owner && owner.dir !== 'bench')
      return [`${file}: services talk gRPC, they never import one another`];
    if (!owner.declared.has(name) && !rootTools.has(name)) return [`${file}: ${name} is not declared in ${owner.dir}/package.json`];
    return [];
  });
}

function sizeFaults(file: string, text: string): string[] {
  const lines = text.split('\n').length;
  return lines > maxLines && !longFiles.has(file) && !file.endsWith('.test.ts')
    ? [`${file}: ${lines} lines; split it, or name the reason in infra/checks/structure.ts`]
    : [];
}

function layer(owner: Package): number {
  if (owner.dir === 'protos') return 1;
  if (owner.name === '@biz/errors' || owner.name === '@biz/json') return 0;
  return owner.dir.startsWith('libs/') ? 2 : 3;
}
