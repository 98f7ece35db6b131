import type { CodeableConcept } from '@medplum/fhirtypes';
import controlled from '../../data/controlled-substances.json' with { type: 'json' };
import highRisk from '../../data/high-risk-drugs.json' with { type: 'json' };
import { plainWords } from '../decision/ingredients.ts';

/** One entry of a table of drugs. */
interface Drug {
  name: string;
  also?: string[];
  brands?: string[];
  rxnorm?: string;
}

const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';

/**
 * Whether a medication is, holds or is named like a controlled substance.
 * @param more - Further ingredients, in lower case, that count as controlled here.
 */
export function isControlled(concept: CodeableConcept | undefined, more: readonly string[]): boolean {
  return isAmong(concept, controlled.substances, more);
}

/** The same of drugs whose errors harm gravely. */
export function isHighRisk(concept: CodeableConcept | undefined, more: readonly string[]): boolean {
  return isAmong(concept, highRisk.drugs, more);
}

/** Any name in any text counts, also `oxycodone-free`: a guard errs on the side of asking. */
function isAmong(concept: CodeableConcept | undefined, drugs: readonly Drug[], more: readonly string[]): boolean {
  const codings = concept?.coding ?? [];
  const codes = codings.filter(({ system }) => system === RXNORM).map(({ code }) => code);
  if (drugs.some(({ rxnorm }) => rxnorm !== undefined && codes.includes(rxnorm))) {
    return true;
  }
  const texts = [concept?.text, ...codings.map(({ display }) => display)].filter((text) => text !== undefined);
  const said = texts.map((text) => ` ${plainWords(text).join(' ')} `);
  const names = [...drugs.flatMap(({ name, also, brands }) => [name, ...(also ?? []), ...(brands ?? [])]), ...more];
  return names.some((name) => {
    const words = plainWords(name).join(' ');
    return words !== '' && said.some((text) => text.includes(` ${words} `));
  });
}
