import { Listr } from 'listr2';

/** In plain output a step's news of the same kind is said at most this often. */
const PLAIN_EVERY_MS = 20_000;

/**
 * Runs all steps side by side and shows each with what it does now: live lines on a terminal, plain lines elsewhere. Fails with the first
 * failure, at once.
 */
export async function runSteps(steps: readonly Step[], terminal: boolean = process.stdout.isTTY === true): Promise<void> {
  if (!terminal) {
    await Promise.all(steps.map(plainStep));
    return;
  }
  const tasks = steps.map((step) => ({
    title: step.title,
    task: async (_: unknown, task: { title: string; output: string }) => {
      const started = Date.now();
      await step.run((text) => {
        task.output = text;
      });
      task.title = `${step.title} (${seconds(started)})`;
    },
  }));
  await new Listr(tasks, { concurrent: true, exitOnError: true, registerSignalListeners: false }).run();
}

async function plainStep(step: Step): Promise<void> {
  const started = Date.now();
  await step.run(plainProgress(`  ${step.title}`));
  console.log(`  ${step.title}: ready (${seconds(started)})`);
}

/** Prints what a step does now, the same thing going on only now and then. */
export function plainProgress(title: string): (text: string) => void {
  let last = { kind: '', at: 0 };
  return (text) => {
    const kind = text.replace(/[\d.]+/g, '#').slice(0, 20);
    if (kind === last.kind && Date.now() - last.at < PLAIN_EVERY_MS) return;
    last = { kind, at: Date.now() };
    console.log(`${title}: ${text}`);
  };
}

function seconds(since: number): string {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}

export interface Step {
  title: string;
  run: (progress: (text: string) => void) => Promise<void>;
}
