import type { CodeableConcept } from '@medplum/fhirtypes';

/** Words and codes by which a problem belongs on the list of allergies. */
const ALLERGY_WORDS = /\b(?:allerg(?:y|ies)|anaphyla\w{0,8}|(?:drug|food|latex) (?:hypersensitivity|intolerance)|adverse reaction)\b/i;
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
const CODE_STATUS_WORDS =
  /\b(?:code status|full code|dn[ar]r?|dnacpr|resuscitat\w{0,5}|comfort (?:care|measures)|allow natural death|polst|molst|do not intubate|dni|advance directive)\b/i;
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
