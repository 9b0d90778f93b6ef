/** What is known of a flag. `docs/flags.md` lists them, and a test compares. */
export interface FlagDefinition {
  /** The value where no flag service says another one, also when that one is away or wrong: it must be safe. */
  readonly default: boolean;
  /** Who turns it and answers for it: a folder in services/, or gateway. */
  readonly owner: string;
  readonly description: string;
  /**
   * `release`: hides what is not finished, and has a day (`YYYY-MM-DD`) by which it and the code that it hides are gone. `operation`: stays, as a switch for
   * whoever runs the fleet.
   */
  readonly kind: { readonly release: string } | 'operation';
}

/** Every flag there is. One that is not here can be neither asked for nor turned. */
export const flags = {
  'notification.welcome_email': {
    default: true,
    owner: 'notification',
    description: 'A new user gets an e-mail of welcome. What was decided for a user stays: one who got none gets none later.',
    kind: 'operation',
  },
} as const satisfies Record<string, FlagDefinition>;

export type FlagKey = keyof typeof flags;

/** Release flags whose day has passed: code that should be gone. */
export function expiredFlags(now: Date, known: Readonly<Record<string, FlagDefinition>> = flags): string[] {
  const today = now.toISOString().slice(0, 10);
  return Object.entries(known).flatMap(([key, { kind }]) => (kind !== 'operation' && kind.release < today ? [key] : []));
}

/** The flags as a file in flagd's format in which nothing is turned yet: what a fleet's `FLAGS_FILE` begins with. */
export function flagsTemplate(): string {
  const entries = Object.entries(flags).map(([key, { default: on, owner, description }]) => [
    key,
    { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: on ? 'on' : 'off', metadata: { owner, description } },
  ]);
  return `${JSON.stringify({ $schema: 'https://flagd.dev/schema/v0/flags.json', flags: Object.fromEntries(entries) }, null, 2)}\n`;
}
