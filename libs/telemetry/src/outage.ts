/** Whether what a process tells of itself arrives. One line when it stops arriving, one when it does again. */
export type Outage = {
  lost(what: string, count: number, error: unknown): void;
  over(): void;
};

export type Say = (level: 'info' | 'warn', message: string, fields: object) => void;

export function createOutage(say: Say): Outage {
  let lost: Record<string, number> | undefined;
  return {
    lost(what, count, error) {
      if (!lost) {
        const code = (error as { code?: unknown } | undefined)?.code;
        const reason = typeof code === 'string' || typeof code === 'number' ? String(code) : 'no answer in time';
        say('warn', 'the collector takes no telemetry: it is dropped until it does', { reason });
      }
      lost ??= {};
      lost[what] = (lost[what] ?? 0) + count;
    },
    over() {
      if (lost) say('info', 'the collector takes telemetry again', { lost });
      lost = undefined;
    },
  };
}
