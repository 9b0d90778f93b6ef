import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadContract } from '@biz/protos';
import { describe, expect, it } from 'vitest';
import { type Finding, reasons } from './findings.ts';
import { locales, sentenceOf } from './sentences.ts';

describe('reasons', () => {
  it('are those that docs/verify.md explains, in that order', () => {
    const text = readFileSync(join(import.meta.dirname, '../../../../docs/verify.md'), 'utf8');
    const rows = [...text.matchAll(/^\| (`.*?`) \| .* \| .* \|$/gm)].map(([, cell = '']) => cell);
    expect(rows.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, reason]) => reason))).toEqual([...reasons]);
  });

  it('are those of the contract', () => {
    const fault = loadContract().message('biz.audit.v1.VerificationFault');
    expect(fault.fields.find(({ name }) => name === 'reason')?.rules.in).toEqual([...reasons]);
  });

  it.each(locales)('are told in a sentence that names place and evidence: %s', (locale) => {
    const finding = { log_id: 'audit-0', leaf_index: 77, record_id: 'audit-0.000000000077', subject: 'the evidence' };
    for (const reason of reasons) {
      const sentence = sentenceOf({ reason, ...finding } satisfies Finding, locale);
      expect(sentence).toMatch(/^[A-Z].*\.$/);
      expect(sentence).toContain(locale === 'en' ? 'place 77 of log audit-0' : 'posição 77 do log audit-0');
      expect(sentence).not.toMatch(/\b(em|de|sobre) posição/);
      if (reason !== 'record_missing') expect(sentence).toContain('the evidence');
    }
    const range = sentenceOf({ reason: 'checkpoint_differs', ...finding, leaf_to: 99, record_id: null }, locale);
    expect(range).toContain(locale === 'en' ? 'place 77 to 99' : 'posição 77 a 99');
    expect(sentenceOf({ reason: 'record_unexpected', ...finding, leaf_index: null, record_id: 'odd' }, locale)).toContain('odd');
  });
});
