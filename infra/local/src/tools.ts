import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { run } from './command.ts';

/** Programs that engines are fetched, built or run with, and where they come from. */
const tools = {
  java: { debian: 'openjdk-17-jdk-headless', from: 'a JDK, 17 or later (https://adoptium.net)' },
  jar: { debian: 'openjdk-17-jdk-headless', from: 'a JDK, 17 or later (https://adoptium.net)' },
  javac: { debian: 'openjdk-17-jdk-headless', from: 'a JDK, 17 or later (https://adoptium.net)' },
  mvn: { debian: 'maven', from: 'Apache Maven (https://maven.apache.org)' },
  cmake: { debian: 'cmake', from: 'CMake (https://cmake.org)' },
  cc: { debian: 'build-essential', from: 'a C compiler' },
  python3: { debian: 'python3-venv', from: 'Python, 3.10 or later (https://www.python.org)' },
  'redis-server': { debian: 'redis-server', from: 'Redis or Valkey (https://valkey.io)' },
} as const;

/** The program's path; installed first when it is missing and this is root on Debian. Otherwise fails with one line that says how to get it. */
export async function tool(name: Tool, why: string, progress: (text: string) => void): Promise<string> {
  const found = await which(name);
  if (found !== undefined) return found;
  const { debian, from } = tools[name];
  if (await canInstall()) {
    await aptInstall([debian], progress);
    const installed = await which(name);
    if (installed !== undefined) return installed;
  }
  throw new Error(`${name} is missing, needed to ${why}: install ${from}, on Debian or Ubuntu "sudo apt-get install ${debian}"`);
}

/** The first file of that name on PATH that may be run. */
export async function which(name: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const file = join(folder, name);
    if (await isExecutable(file)) return file;
  }
  return undefined;
}

/** Root on Debian or a system derived from it. */
export async function canInstall(): Promise<boolean> {
  return process.getuid?.() === 0 && (await which('apt-get')) !== undefined;
}

let apt: Promise<unknown> = Promise.resolve();

/** One at a time: apt-get takes a lock that a second one fails on. */
export function aptInstall(packages: string[], progress: (text: string) => void): Promise<void> {
  const install = async () => {
    progress(`installing ${packages.join(', ')}`);
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    const patient = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=5'];
    const args = [...patient, 'install', '-y', '--no-install-recommends', ...packages];
    await run('apt-get', args, { env }).catch(async () => {
      await run('apt-get', [...patient, 'update'], { env });
      await run('apt-get', args, { env });
    });
  };
  const result = apt.then(install, install);
  apt = result.catch(() => undefined);
  return result;
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

export type Tool = keyof typeof tools;
