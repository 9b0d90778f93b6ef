import { Listr } from 'listr2';

/** In plain output a step's news of the same kind is said at most this often. */
const PLAIN_EVERY_MS = 20_000;

/**
 * Runs the steps side by side, each as soon as those that it needs are done, and shows each with what it does now: live lines on a terminal, plain
 * lines elsewhere. Fails with the first failure, at once.
 */
export async function runSteps(all: readonly Step[], terminal: boolean = process.stdout.isTTY === true): Promise<void> {
  const steps = linked(all);
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

/** The steps, each waiting first for those that it needs; a failure reaches all that wait for it. */
function linked(steps: readonly Step[]): Step[] {
  const ends = new Map(steps.map((step) => [step.name, Promise.withResolvers<void>()]));
  return steps.map((step) => ({
    ...step,
    async run(progress) {
      const { needs = [] } = step;
      const end = ends.get(step.name);
      end?.promise.catch(() => undefined); // there may be nobody waiting
      try {
        if (needs.length > 0) progress(`waiting for ${needs.join(' and ')}`);
        await Promise.all(needs.map((name) => ends.get(name)?.promise));
        await step.run(progress);
        end?.resolve();
      } catch (error) {
        end?.reject(error);
        throw error;
      }
    },
  }));
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
  name: string;
  title: string;
  /** Names of steps that have to be done before. */
  needs?: readonly string[];
  run: (progress: (text: string) => void) => Promise<void>;
}
