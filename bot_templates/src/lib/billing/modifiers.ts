import type { CodeableConcept, Procedure } from '@medplum/fhirtypes';
import type { ProcedureCode } from './procedure-code.ts';

/** A modifier of a procedure's code, and what documents it. */
export interface Modifier {
  code: string;
  appliesTo: string;
  /** `Type/id` */
  evidence: string;
}

const SNOMED = 'http://snomed.info/sct';
const SIDES = [
  { code: 'LT', snomed: '7771000', word: /\bleft\b/i },
  { code: 'RT', snomed: '24028007', word: /\bright\b/i },
] as const;
const BOTH = { snomed: '51440002', word: /\b(?:bilateral|both)\b/i };

/**
 * The modifiers that a procedure's own coding has or that its body site tells: a side, never both.
 *
 * What would raise the payment (25, 50, 59 and their like) is never added: it needs a person's judgement.
 */
export function modifiersOf(procedure: Procedure, { code, modifiers }: ProcedureCode): Modifier[] {
  const sites = procedure.bodySite ?? [];
  const both = sites.some((site) => names(site, BOTH.snomed, BOTH.word));
  const sides = SIDES.filter(({ snomed, word }) => sites.some((site) => names(site, snomed, word))).map(
    (side) => side.code
  );
  const side = !both && sides.length === 1 && !modifiers.includes('50') ? sides : [];
  const evidence = `Procedure/${procedure.id}`;
  return [...new Set([...modifiers, ...side])].map((modifier) => ({ code: modifier, appliesTo: code, evidence }));
}

/** Whether a body site was documented on both sides. */
export function isBilateral(procedure: Procedure): boolean {
  return (procedure.bodySite ?? []).some((site) => names(site, BOTH.snomed, BOTH.word));
}

function names(site: CodeableConcept, snomed: string, word: RegExp): boolean {
  const codings = site.coding ?? [];
  const words = [site.text, ...codings.map(({ display }) => display)];
  return (
    codings.some(({ system, code }) => system === SNOMED && code === snomed) ||
    words.some((each) => each !== undefined && word.test(each.slice(0, 200)))
  );
}
