import { isAbsolute, join, resolve } from 'node:path';

/** The repository's root. */
export const repository = join(import.meta.dirname, '..', '..', '..');

/** Where a fleet keeps everything: `.local` in the clone, or the folder that `BIZ_LOCAL_DIR` names. */
export function layoutOf(env: NodeJS.ProcessEnv = process.env): Layout {
  const named = env.BIZ_LOCAL_DIR || '.local';
  const folder = isAbsolute(named) ? named : resolve(repository, named);
  return {
    folder,
    data: join(folder, 'data'),
    checkpoints: join(folder, 'checkpoints'),
    flags: join(folder, 'flags.json'),
    keys: join(folder, 'keys'),
    logs: join(folder, 'logs'),
    run: join(folder, 'run'),
    security: join(folder, 'security'),
    tls: join(folder, 'tls'),
    runFile: join(folder, 'run.json'),
    toured: join(folder, 'toured'),
  };
}

export interface Layout {
  folder: string;
  data: string;
  /** What the audit keeps outside its database. */
  checkpoints: string;
  /** Feature flags, for people to edit. */
  flags: string;
  keys: string;
  logs: string;
  /** A note of each process that runs. */
  run: string;
  /** Security events as files. */
  security: string;
  tls: string;
  runFile: string;
  /** Is there once the first change was shown. */
  toured: string;
}

/** The file outside the database that the audit's checkpoints go to: in a folder of its own, so that it can be put on other storage. */
export function checkpointFile(layout: Layout, env: NodeJS.ProcessEnv = process.env): string {
  return env.CHECKPOINT_FILE || join(layout.checkpoints, 'audit.jsonl');
}

/** The public half of the key that signs them, for `npm run verify`: it stays when the fleet ends. */
export function verificationKeyFile(layout: Layout): string {
  return join(layout.checkpoints, 'verification-key');
}
