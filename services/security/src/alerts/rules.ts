import type { Severity } from '@biz/security-events';

/** What rules watch; README.md tells what each counts. */
export const kinds = ['failed_logins', 'cross_tenant', 'delete_burst', 'bulk_personal_reads', 'new_country'] as const;
export type Kind = (typeof kinds)[number];

/** Who or where from is counted by itself. */
export type GroupBy = 'user' | 'ip' | 'company';

/** A rule as it is evaluated, a company's own or a built-in one. */
export interface Rule {
  /** Of a built-in rule `builtin:<kind>:<group by>`. */
  id: string;
  /** Whose events it counts; null: those of no company, and by address those of all. */
  company_id: string | null;
  name: string;
  kind: Kind;
  threshold: number;
  window_seconds: number;
  group_by: GroupBy;
  severity: Severity;
}

/** `count` within `seconds`; null is off. */
export type Threshold = { count: number; seconds: number } | null;

/** Settings of the built-in rules. */
export interface Defaults {
  ALERT_FAILED_LOGINS_BY_USER: Threshold;
  ALERT_FAILED_LOGINS_BY_IP: Threshold;
  ALERT_CROSS_TENANT: Threshold;
  ALERT_DELETES: Threshold;
  ALERT_PERSONAL_READS: Threshold;
  ALERT_NEW_COUNTRY: Threshold;
}

export type Locale = 'pt-BR' | 'en';

type BuiltIn = { setting: keyof Defaults; kind: Kind; group_by: GroupBy; severity: Severity; name: Record<Locale, string> };

const builtIns: readonly BuiltIn[] = [
  {
    ...{ setting: 'ALERT_FAILED_LOGINS_BY_USER', kind: 'failed_logins', group_by: 'user', severity: 'WARNING' },
    name: { 'pt-BR': 'Logins recusados de um usuário', en: 'Failed logins of one user' },
  },
  {
    ...{ setting: 'ALERT_FAILED_LOGINS_BY_IP', kind: 'failed_logins', group_by: 'ip', severity: 'ERROR' },
    name: { 'pt-BR': 'Logins recusados de um endereço', en: 'Failed logins from one address' },
  },
  {
    ...{ setting: 'ALERT_CROSS_TENANT', kind: 'cross_tenant', group_by: 'user', severity: 'CRITICAL' },
    name: { 'pt-BR': 'Tentativas de acesso a dados de outra empresa', en: "Attempts at another company's data" },
  },
  {
    ...{ setting: 'ALERT_DELETES', kind: 'delete_burst', group_by: 'user', severity: 'ERROR' },
    name: { 'pt-BR': 'Exclusões de uma pessoa', en: 'Deletions by one person' },
  },
  {
    ...{ setting: 'ALERT_PERSONAL_READS', kind: 'bulk_personal_reads', group_by: 'user', severity: 'ERROR' },
    name: { 'pt-BR': 'Registros com dados pessoais vistos por uma pessoa', en: 'Records with personal data seen by one person' },
  },
  {
    ...{ setting: 'ALERT_NEW_COUNTRY', kind: 'new_country', group_by: 'user', severity: 'WARNING' },
    name: { 'pt-BR': 'Login de um país novo', en: 'Login from a new country' },
  },
] as const satisfies readonly BuiltIn[];

/** A stored rule as it takes the place of built-in ones. */
export type StoredRule = Rule & { status: string };

/** The rules in force, by company. */
export interface RuleBook {
  /**
   * The rules that count an event of a company (or of none). An address is counted over all companies by the platform's rules, too: who tries
   * many users meets many companies.
   */
  of(companyId: string | null): readonly Rule[];
}

/** A company's rules of a kind, enabled or not, take the place of the built-in ones of that kind. */
export function ruleBook(stored: readonly StoredRule[], defaults: Defaults, locale: Locale): RuleBook {
  const byCompany = Map.groupBy(stored, ({ company_id }) => company_id);
  const known = new Map<string | null, readonly Rule[]>();
  const own = (companyId: string | null): Rule[] => {
    const rules = byCompany.get(companyId) ?? [];
    const taken = new Set(rules.map(({ kind }) => kind));
    const builtIn = builtInRules(defaults, locale, companyId).filter(({ kind }) => !taken.has(kind));
    return [...rules.filter(({ status }) => status === 'active'), ...builtIn];
  };
  return {
    of(companyId) {
      const found = known.get(companyId);
      if (found) return found;
      const everywhere = companyId === null ? [] : own(null).filter(({ group_by }) => group_by === 'ip');
      const rules = [...own(companyId), ...everywhere];
      // companies come with events: what is forgotten is made again
      if (known.size >= MOST_KNOWN) known.clear();
      known.set(companyId, rules);
      return rules;
    },
  };
}

const MOST_KNOWN = 1_000;

function builtInRules(defaults: Defaults, locale: Locale, companyId: string | null): Rule[] {
  return builtIns.flatMap(({ setting, name, ...rule }) => {
    const threshold = defaults[setting];
    // addresses are counted once, over all companies
    if (threshold === null || (companyId !== null && rule.group_by === 'ip')) return [];
    return [
      {
        ...{ id: `builtin:${rule.kind}:${rule.group_by}`, company_id: companyId, name: name[locale], ...rule },
        ...{ threshold: threshold.count, window_seconds: threshold.seconds },
      },
    ];
  });
}
