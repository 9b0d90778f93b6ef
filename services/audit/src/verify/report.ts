import type { Finding } from './findings.ts';
import { type Locale, sentenceOf } from './sentences.ts';
import type { VerifyResult } from './verify.ts';

/** A line of progress; on a terminal it overwrites the one before. */
export function progressLine({ checked, total }: { checked: number; total: number }, onTerminal: boolean): string {
  const line = `${checked} of ${total} records (${total === 0 ? 100 : Math.floor((100 * checked) / total)} %)`;
  return onTerminal ? `\r${line}` : `${line}\n`;
}

/** The result for people: the verdict on the first line, the first bad record at once, then the logs. */
export function report(result: VerifyResult, seconds: number, locale: Locale): string {
  const lines = [verdict(result), ...(result.first_bad ? faultLines(result.first_bad, locale) : [])];
  if (result.findings_total > 1) {
    lines.push(
      '',
      `${result.findings_total} faults:`,
      ...result.findings.map((finding) => `  ${finding.reason}  ${sentenceOf(finding, locale)}`),
    );
  }
  lines.push('', ...result.logs.map(logLine));
  if (result.torn_lines > 0)
    lines.push('', `${result.torn_lines} lines of the file are no checkpoints (torn by a crash) and were passed over.`);
  lines.push('', `${result.checked} records, ${result.entities} entities, ${seconds.toFixed(1)} s.`);
  return lines.join('\n');
}

function verdict({ ok, first_bad }: VerifyResult): string {
  if (ok) return 'OK: every record, version, flag, tree and checkpoint is as it was signed.';
  return `BAD: ${first_bad?.record_id ?? placeOf(first_bad)}: ${first_bad?.reason}`;
}

function placeOf(finding: Finding | null): string {
  return `${finding?.log_id} ${finding?.leaf_index ?? ''}${finding?.leaf_to === undefined ? '' : ` to ${finding.leaf_to}`}`;
}

function faultLines(finding: Finding, locale: Locale): string[] {
  const { expected, found } = finding;
  return [
    sentenceOf(finding, locale),
    ...(expected === undefined ? [] : [`  expected  ${expected}`]),
    ...(found === undefined ? [] : [`  found     ${found}`]),
  ];
}

function logLine({ log_id, size, root, checkpoints, outside, outside_size, unfinished }: VerifyResult['logs'][number]): string {
  const more = unfinished > 0 ? `, ${unfinished} unfinished beyond` : '';
  return `${log_id}  size ${size}  root ${root || '-'}  ${checkpoints} checkpoints in the database, ${outside} outside (up to ${outside_size})${more}`;
}
