import type { EventStore } from '@biz/eventstore';
import type { RuleState } from './rule.ts';
import { type Defaults, type Locale, type RuleBook, ruleBook, type StoredRule } from './rules.ts';

export interface RuleSourceOptions {
  store: Pick<EventStore, 'current'>;
  defaults: Defaults;
  locale: Locale;
  /** How long rules are used before they are read again, in milliseconds: what is changed elsewhere is seen that late. */
  refreshMs: number;
}

/** The rules in force, read at most once each `refreshMs`. */
export function createRuleSource({ store, defaults, locale, refreshMs }: RuleSourceOptions): () => Promise<RuleBook> {
  let book: RuleBook | undefined;
  let until = 0;
  return async () => {
    if (book && performance.now() < until) return book;
    const found = await store.current.find({ entity_type: 'security_rule', status: { $ne: 'deleted' } }).toArray();
    const stored = found.map(({ _id, status, company_id, state }): StoredRule => {
      const { name, kind, threshold, window_seconds, group_by, severity } = state as unknown as RuleState;
      return { id: _id, company_id, status, name, kind, threshold, window_seconds, group_by, severity };
    });
    book = ruleBook(stored, defaults, locale);
    until = performance.now() + refreshMs;
    return book;
  };
}
