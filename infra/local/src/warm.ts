import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { outputOf } from './command.ts';
import { createSupervisor, type ProcessSpec } from './supervisor.ts';

const ARCHIVE = 'classes.jsa';
/** The archive is written while the process ends. */
const STOP_MS = 180_000;

/**
 * Runs a Java engine once from start to end, and keeps what spares later starts most of their work: an archive of its loaded classes (class data
 * sharing, JEP 350), and whatever `prepare` leaves in the folder. Kept in the cache for this very Java. Gives the folder, or undefined when it did
 * not work out: engines start without it as well, only slower.
 */
export async function warmUp(options: WarmUp): Promise<string | undefined> {
  const { cache, name, progress } = options;
  try {
    return await cached({
      root: cache,
      name: `${name}-warm-${await javaId()}`,
      proof: ARCHIVE,
      progress,
      async make(folder) {
        progress('first run, to make later starts quick');
        const scratch = { logs: join(folder, 'scratch', 'logs'), run: join(folder, 'scratch', 'run') };
        const supervisor = await createSupervisor({ folders: scratch, say: () => undefined });
        try {
          const spec = await options.prepare(folder);
          const args = [`-XX:ArchiveClassesAtExit=${join(folder, ARCHIVE)}`, '-Xlog:cds=off', '-Xlog:cds+dynamic=off', ...spec.args];
          await supervisor.start({ ...spec, args, stopWithinMs: STOP_MS });
        } finally {
          await supervisor.stop();
        }
        await rm(join(folder, 'scratch'), { recursive: true });
      },
    });
  } catch (error) {
    progress(`the first run failed, starting without its help: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

/** Options of the JVM that use the archive; one that does not fit is left unused by the JVM itself. */
export function sharedClasses(warm: string | undefined): string[] {
  return warm === undefined ? [] : [`-XX:SharedArchiveFile=${join(warm, ARCHIVE)}`, '-Xlog:cds=off', '-Xlog:cds+dynamic=off'];
}

/** An archive fits only the Java that made it. */
async function javaId(): Promise<string> {
  const version = (await outputOf('java', ['-version'])) ?? '';
  return createHash('sha256').update(version).digest('hex').slice(0, 8);
}

interface WarmUp {
  cache: string;
  name: string;
  progress: (text: string) => void;
  /** Fills the folder with what is worth keeping, and says what to run. */
  prepare: (folder: string) => Promise<ProcessSpec>;
}
