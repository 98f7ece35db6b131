import type { CodeableConcept } from '@medplum/fhirtypes';

/** Whole words or phrases, in English. */
function wordsOf(...phrases: string[]): RegExp {
  return new RegExp(`\\b(?:${phrases.join('|')})\\b`, 'i');
}

/** Words and codes by which a problem belongs on the list of allergies. */
const ALLERGY_WORDS = wordsOf(
  'allerg(?:y|ies)',
  'allergic (?:to|reactions?)',
  'nkd?a',
  'anaphyla\\w{0,8}',
  '(?:drug|food|latex|medication|medicine|penicillin|antibiotic|statin|contrast) (?:hypersensitivity|intolerance)',
  '(?:hypersensitivity|intolerance) to',
  'adverse reactions?'
);
const ALLERGY_CODES = [
  // ICD-10-CM: status of allergy to drugs, of other allergy; unspecified allergy, anaphylaxis, food reactions
  /^Z88(?:\.|$)/,
  /^Z91\.0/,
  /^T78\.[0-4]/,
  /^T88\.[67]/,
];
/** SNOMED CT: allergy and its frequent kinds. */
const ALLERGY_CONCEPTS = [
  '106190000',
  '416098002',
  '414285001',
  '419199007',
  '419511003',
  '420134006',
  '421961002',
  '232347008',
  '300916003',
  '91934008',
  '91935009',
  '91936005',
  '293584003',
  '294505008',
  '300913006',
  '782415009',
];

/** Words and codes of what is decided about resuscitation and the limits of treatment. */
const CODE_STATUS_WORDS = wordsOf(
  'code status',
  '(?:full|no|limited|partial|chemical) code',
  'dn[ar]r?',
  'dnacpr',
  'cpr',
  'resus(?:citat\\w{0,5})?',
  '(?:comfort|palliative|hospice|end[ -]of[ -]life) (?:care|measures)',
  'hospice',
  'allow natural death',
  'life[ -](?:support|sustaining)',
  '[mp]olst',
  'dni',
  '(?:no|not|not for) intubat(?:e|ed|ion)',
  'living will',
  'advance directives?'
);
const CODE_STATUS_CODES = [/^Z66$/, /^Z51\.5/];
const CODE_STATUS_CONCEPTS = [
  '143021000119109',
  '304251008',
  '304252001',
  '304253006',
  '425392003',
  '425393008',
  '425394002',
  '425395001',
  '425396000',
  '425397009',
  '450475007',
  '450476008',
  '439569004',
  '133918004',
];

/**
 * Whether a concept is about an allergy or intolerance, by its code or by its words.
 *
 * Without a terminology this cannot be complete; whoever approves is the other guard. An allergic disease, such as
 * allergic rhinitis, is a problem like others.
 */
export function touchesAllergies(concept: CodeableConcept | undefined): boolean {
  return touches(concept, ALLERGY_WORDS, ALLERGY_CODES, ALLERGY_CONCEPTS);
}

/** Whether a concept is about resuscitation or limits of treatment, by its code or by its words. */
export function touchesCodeStatus(concept: CodeableConcept | undefined): boolean {
  return touches(concept, CODE_STATUS_WORDS, CODE_STATUS_CODES, CODE_STATUS_CONCEPTS);
}

function touches(
  concept: CodeableConcept | undefined,
  words: RegExp,
  patterns: readonly RegExp[],
  codes: readonly string[]
): boolean {
  const codings = concept?.coding ?? [];
  return (
    [concept?.text, ...codings.map(({ display }) => display)].some((text) => text !== undefined && words.test(text)) ||
    codings.some(({ code = '' }) => codes.includes(code) || patterns.some((pattern) => pattern.test(code.toUpperCase())))
  );
}
