import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cached, cacheFolder, fetchBy, goEnvironment, pythonVenv, which } from '@biz/local';

const execute = promisify(execFile);
const maxBuffer = 64 * 1024 * 1024;

const kustomizeVersion = '5.7.1';
const validatorVersion = '1.37.0';

/**
 * Renders a kustomization's folder: by kustomize or kubectl where they are, else by a kustomize that is built once into the user's cache. Undefined
 * where there is no Go to build it with.
 */
export async function kustomizer(progress: (text: string) => void): Promise<((folder: string) => Promise<string>) | undefined> {
  const kustomize = await which('kustomize');
  if (kustomize !== undefined) return output(kustomize, ['build']);
  const kubectl = await which('kubectl');
  if (kubectl !== undefined) return output(kubectl, ['kustomize']);
  if ((await which('go')) === undefined) return undefined;
  const folder = await cached({
    root: cacheFolder(),
    name: `kustomize-${kustomizeVersion}`,
    proof: 'kustomize',
    progress,
    async make(half) {
      progress('building it, which takes some minutes the first time');
      const env = { ...(await goEnvironment()), GOBIN: half };
      await fetchBy('go', ['install', `sigs.k8s.io/kustomize/kustomize/v5@v${kustomizeVersion}`], { env });
    },
  });
  return output(join(folder, 'kustomize'), ['build']);
}

function output(program: string, args: readonly string[]): (folder: string) => Promise<string> {
  return async (folder) => (await execute(program, [...args, folder], { maxBuffer })).stdout;
}

/** Checks a file of manifests against Kubernetes' own schemas, unknown fields refused; gives what is wrong. Kinds of others are passed over. */
export async function schemaChecker(progress: (text: string) => void): Promise<(file: string) => Promise<string[]>> {
  const venv = await pythonVenv({
    cache: cacheFolder(),
    name: `kubernetes-validate-${validatorVersion}`,
    requirement: `kubernetes-validate==${validatorVersion}`,
    proof: ['kubernetes-validate', '--version'],
    why: 'check Kubernetes manifests',
    progress,
  });
  const program = join(venv, 'bin', 'kubernetes-validate');
  return async (file) => {
    const told = await execute(program, ['--strict', '--quiet', '--no-warn', file], { maxBuffer }).catch((error: unknown) => {
      if (typeof (error as { code?: unknown }).code !== 'number') throw error;
      return error as { stdout: string; stderr: string };
    });
    return `${told.stdout}${told.stderr}`.split('\n').filter((line) => line.startsWith('ERROR'));
  };
}
