import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '@biz/local';
import { type Copy, DockerfileParser, type From, type Instruction, type Run } from 'dockerfile-ast';

export const dockerfile = join(repository, 'infra', 'docker', 'Dockerfile');

/** The stages of the Dockerfile, in order, and the arguments before the first. */
export function readDockerfile(text = readFileSync(dockerfile, 'utf8')): { globals: Map<string, string>; stages: Stage[] } {
  const globals = new Map<string, string>();
  const stages: Stage[] = [];
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    const step = stepOf(instruction);
    if (step.kind === 'FROM') {
      const from = instruction as From;
      stages.push({ name: from.getBuildStage() ?? String(stages.length), base: from.getImage() ?? '', steps: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (stage) stage.steps.push(step);
    else if (step.kind === 'ARG') globals.set(...assignment(step.text));
  }
  return { globals, stages };
}

/** `NAME=value` or `NAME`, as ARG and ENV have it. */
export function assignment(text: string): [string, string] {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1).replaceAll('"', '')];
}

/** `${NAME}` replaced; Docker does it in FROM, COPY, WORKDIR, LABEL and ENV, and leaves it to the shell in RUN. */
export function expand(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => values[name] ?? '');
}

function stepOf(instruction: Instruction): Step {
  const kind = instruction.getKeyword();
  const flags = kind === 'COPY' || kind === 'RUN' ? (instruction as Copy | Run).getFlags() : [];
  return {
    kind,
    text: (instruction.getArgumentsContent() ?? '').trim(),
    args: instruction.getArguments().map((argument) => argument.getValue()),
    from: flags.find((flag) => flag.getName() === 'from')?.getValue() ?? undefined,
  };
}

/** The JSON form of CMD, or of HEALTHCHECK's command. */
export function commandOf(stage: Stage, kind: 'CMD' | 'HEALTHCHECK'): string[] {
  const step = stage.steps.find((candidate) => candidate.kind === kind);
  if (!step) throw new Error(`the stage ${stage.name} has no ${kind}`);
  return JSON.parse(step.text.slice(step.text.indexOf('['))) as string[];
}

export interface Stage {
  name: string;
  /** An image, or the name of an earlier stage. */
  base: string;
  steps: Step[];
}

export interface Step {
  kind: string;
  /** Everything after the keyword and its flags. */
  text: string;
  args: string[];
  /** The stage that COPY copies from. */
  from: string | undefined;
}
