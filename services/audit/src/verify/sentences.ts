import type { Finding, Reason } from './findings.ts';

export const locales = ['en', 'pt-BR'] as const;
export type Locale = (typeof locales)[number];

type Sentence = (place: string, subject: string) => string;

const english: Record<Reason, Sentence> = {
  leaf_differs: (place, subject) =>
    `The record at ${place} is not what was recorded there: it was changed, or another was put in its place (by ${subject}).`,
  record_missing: (place) => `There is no record at ${place}, though the log goes on: it was deleted.`,
  record_unexpected: (place, subject) => `The record at ${place} was not put there by the audit (it does not fit ${subject}).`,
  record_unfinished: (place, subject) =>
    `The record at ${place} stands beyond ${subject}, and no consumer finishes it: either none runs, or somebody put it there.`,
  place_differs: (place, subject) => `The record at ${place} says that it belongs elsewhere (${subject}).`,
  tree_differs: (place, subject) =>
    `What is stored of the tree over ${place} is not the tree of the records: ${subject} was changed, or removed.`,
  checkpoint_signature: (place, subject) => `A checkpoint over ${place} does not have the signature of this key: ${subject}.`,
  checkpoint_differs: (place, subject) => `What was signed is not what is there; the difference is at ${place} (by ${subject}).`,
  log_behind_checkpoint: (place, subject) =>
    `The log was longer than it is: ${place} and on were cut off, or an older state was put back (by ${subject}).`,
  entity_differs: (place, subject) => `The record at ${place} is filed under another entity than that of ${subject}.`,
  version_gap: (place, subject) => `Before the record at ${place} there is no ${subject}.`,
  version_repeated: (place, subject) => `The record at ${place} is a second ${subject}.`,
  active_differs: (place, subject) => `The record at ${place} has a wrong flag (${subject}).`,
};

/** A place has its article, which `em` and `de` take in; an id has none. */
const withArticle = (plain: string, contracted: string) => (place: string) =>
  `${place.startsWith('posição ') ? contracted : plain} ${place}`;
const em = withArticle('em', 'na');
const de = withArticle('de', 'da');
const sobre = withArticle('sobre', 'sobre a');

const portuguese: Record<Reason, Sentence> = {
  leaf_differs: (place, subject) =>
    `O registro ${em(place)} não é o que foi registrado ali: foi alterado, ou outro foi posto em seu lugar (segundo ${subject}).`,
  record_missing: (place) => `Não há registro ${em(place)}, embora o log continue: foi apagado.`,
  record_unexpected: (place, subject) => `O registro ${em(place)} não foi posto ali pela auditoria (não condiz com ${subject}).`,
  record_unfinished: (place, subject) =>
    `O registro ${em(place)} está além de ${subject}, e nenhum consumidor o conclui: ou nenhum está em execução, ou alguém o pôs ali.`,
  place_differs: (place, subject) => `O registro ${em(place)} diz pertencer a outro lugar (${subject}).`,
  tree_differs: (place, subject) =>
    `O que está guardado da árvore ${sobre(place)} não é a árvore dos registros: ${subject} foi alterado ou removido.`,
  checkpoint_signature: (place, subject) => `Um checkpoint ${sobre(place)} não tem a assinatura desta chave: ${subject}.`,
  checkpoint_differs: (place, subject) => `O que foi assinado não é o que está lá; a diferença está ${em(place)} (segundo ${subject}).`,
  log_behind_checkpoint: (place, subject) =>
    `O log era mais longo do que é: ${de(place)} em diante foi cortado, ou um estado anterior foi reposto (segundo ${subject}).`,
  entity_differs: (place, subject) => `O registro ${em(place)} está arquivado sob outra entidade que não a de ${subject}.`,
  version_gap: (place, subject) => `Antes do registro ${em(place)} não há ${subject}.`,
  version_repeated: (place, subject) => `O registro ${em(place)} é uma segunda ${subject}.`,
  active_differs: (place, subject) => `O registro ${em(place)} tem um indicador errado (${subject}).`,
};

/** A fault in a sentence for people. What it was compared with keeps its technical name. */
export function sentenceOf(finding: Finding, locale: Locale = 'en'): string {
  const sentences = locale === 'en' ? english : portuguese;
  return sentences[finding.reason](placeOf(finding, locale), finding.subject);
}

function placeOf({ log_id, leaf_index, leaf_to, record_id, reason }: Finding, locale: Locale): string {
  const [at, of, to, nowhere] = locale === 'en' ? ['place', 'of log', 'to', 'no place'] : ['posição', 'do log', 'a', 'nenhuma posição'];
  if (leaf_index === null) return record_id ?? nowhere;
  const range = leaf_to === undefined || reason === 'log_behind_checkpoint' ? leaf_index : `${leaf_index} ${to} ${leaf_to}`;
  return `${at} ${range} ${of} ${log_id}`;
}
