export const locales = ['pt-BR', 'en'] as const;
export type Locale = (typeof locales)[number];

/** What a page says, in a language. */
const english = {
  title: 'Security report',
  period: 'Period',
  until: 'until',
  made: 'Made',
  by: 'by',
  companies: 'Companies',
  allCompanies: 'all, and what belongs to none',
  noCompany: 'none',
  utc: 'Times and days are UTC.',
  logins: 'Logins',
  day: 'Day',
  successes: 'Successful',
  failures: 'Failed',
  total: 'Total',
  refusals: 'Refusals',
  what: 'What',
  severity: 'Severity',
  count: 'Number',
  alerts: 'Alerts',
  opened: 'Opened',
  acknowledged: 'Acknowledged',
  stillOpen: 'Still open',
  answerTimes: 'Time to acknowledgement',
  median: 'median',
  p90: '90 %',
  longest: 'longest',
  personalData: 'Personal data opened',
  who: 'Who',
  route: 'Route',
  first: 'First',
  last: 'Last',
  omitted: 'Readers not listed',
  storages: 'Storages',
  name: 'Name',
  status: 'State',
  waiting: 'Waiting events',
  ok: 'works',
  failing: 'fails since',
  queried: 'lists are read from it',
  none: 'None.',
  unknown: 'unknown',
};

export type Words = { readonly [Key in keyof typeof english]: string };

const portuguese: Words = {
  title: 'Relatório de segurança',
  period: 'Período',
  until: 'até',
  made: 'Emitido em',
  by: 'por',
  companies: 'Empresas',
  allCompanies: 'todas, e o que não pertence a nenhuma',
  noCompany: 'nenhuma',
  utc: 'Horários e dias em UTC.',
  logins: 'Logins',
  day: 'Dia',
  successes: 'Bem-sucedidos',
  failures: 'Recusados',
  total: 'Total',
  refusals: 'Acessos negados',
  what: 'O quê',
  severity: 'Severidade',
  count: 'Quantidade',
  alerts: 'Alertas',
  opened: 'Abertos',
  acknowledged: 'Reconhecidos',
  stillOpen: 'Ainda abertos',
  answerTimes: 'Tempo até o reconhecimento',
  median: 'mediana',
  p90: '90 %',
  longest: 'maior',
  personalData: 'Dados pessoais exibidos',
  who: 'Quem',
  route: 'Rota',
  first: 'Primeira vez',
  last: 'Última vez',
  omitted: 'Leitores não listados',
  storages: 'Armazenamentos',
  name: 'Nome',
  status: 'Estado',
  waiting: 'Eventos à espera',
  ok: 'funciona',
  failing: 'falha desde',
  queried: 'usado nas consultas',
  none: 'Nenhum.',
  unknown: 'desconhecido',
};

export const words: Readonly<Record<Locale, Words>> = { 'pt-BR': portuguese, en: english };

/**
 * The language that a reader wants most among those that there are (RFC 9110, 12.5.4), by its primary subtag; pt-BR when the header names none
 * of them.
 */
export function localeOf(acceptLanguage: string | undefined): Locale {
  const wanted = (acceptLanguage ?? '').split(',').map((part) => {
    const [range = '', ...parameters] = part
      .trim()
      .toLowerCase()
      .split(/\s*;\s*/);
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    return { language: range.split('-')[0], weight: weight === undefined ? 1 : Number(weight) };
  });
  const best = wanted
    .filter(({ language, weight }) => weight > 0 && (language === 'pt' || language === 'en'))
    .reduce<{ language: string | undefined; weight: number } | undefined>(
      (one, other) => (one && one.weight >= other.weight ? one : other),
      undefined,
    );
  return best?.language === 'en' ? 'en' : 'pt-BR';
}
