import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One measured figure beside its floor: what the same work costs at the least, measured in the same run. */
export type Figure = {
  readonly figure: string;
  readonly value: number;
  readonly unit: string;
  readonly floor: number | null;
  /** value / floor; null without a floor, or when it is nothing. */
  readonly ratio: number | null;
  readonly target: string | null;
  readonly ok: boolean | null;
  /** Smallest and largest of the runs, or percentiles, in words. */
  readonly spread: string;
};

const file = join(import.meta.dirname, '../results.json');

/** Engines that a benchmark works on, beside the fleet. */
export interface Engines {
  mongodbUrl: string;
  kafkaBrokers: string[];
}

/** Collects figures, prints each as it comes, writes `bench/results.json` at the end. */
export class Report {
  readonly #figures: Figure[] = [];

  add(figure: string, value: number, unit: string, more: { floor?: number; target?: string; ok?: boolean; spread?: string } = {}): void {
    const floor = more.floor ?? null;
    const entry: Figure = {
      figure,
      value: rounded(value),
      unit,
      floor: floor === null ? null : rounded(floor),
      ratio: floor ? rounded(value / floor) : null,
      target: more.target ?? null,
      ok: more.ok ?? null,
      spread: more.spread ?? '',
    };
    this.#figures.push(entry);
    const beside = entry.floor === null ? '' : `  floor ${entry.floor} ${unit}${entry.ratio === null ? '' : `, ratio ${entry.ratio}`}`;
    console.log(`${figure}: ${entry.value} ${unit}${beside}${entry.spread && `  (${entry.spread})`}`);
  }

  write(): void {
    mkdirSync(join(import.meta.dirname, '..'), { recursive: true });
    writeFileSync(file, `${JSON.stringify(this.#figures, null, 2)}\n`);
  }
}

/** The value below which the share `p` (0 to 1) of the sorted samples lies. */
export function percentile(samples: readonly number[], p: number): number {
  const sorted = [...samples].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN;
}

function rounded(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 100) / 100;
}
