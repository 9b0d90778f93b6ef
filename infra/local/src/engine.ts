import type { ProcessSpec } from './supervisor.ts';

/**
 * An engine that this machine can run without Docker. A new one is one file with an object of this shape and an entry in
 * `engines/index.ts`.
 */
export interface Engine {
  name: string;
  version: string;
  /** When this variable is in the environment, the engine at that address is used and none is started. */
  variable: string;
  /** Names of the ports it listens on; the first is the one its address has. */
  ports: readonly string[];
  /** Fetches or builds it into the cache of the user, unless it is there. Gives what `process` needs to know of where it is. */
  install(context: InstallContext): Promise<Installed>;
  /** Makes its data folder ready, and says how it is started and when it is ready. */
  process(context: StartContext): Promise<ProcessSpec>;
  /** Further processes started together with it, of a cluster. */
  others?(context: StartContext): Promise<ProcessSpec[]>;
  /** What goes into its variable. */
  address(ports: Ports): string;
  /** Whether the engine at that address, ours or another, serves; throwing is a no. Takes a few seconds at most. */
  answers(address: string): Promise<boolean>;
}

export interface InstallContext {
  /** The cache folder. */
  cache: string;
  progress: (text: string) => void;
}

export interface Installed {
  home: string;
  /** What a first run left that makes starts quick, see warm.ts. */
  warm?: string | undefined;
}

export interface StartContext extends Installed {
  /** Its own; kept between starts. */
  dataDir: string;
  ports: Ports;
}

export type Ports = Readonly<Record<string, number>>;

/** The port of that name; one that was not given is a fault of the caller. */
export function portOf(ports: Ports, name: string): number {
  const port = ports[name];
  if (port === undefined) throw new Error(`no port was chosen for ${name}`);
  return port;
}
