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

/** Shortest name that is known with another ending. */
const LEAST_FOR_A_STEM = 7;

/** Any name in any text counts, also `oxycodone-free`: a guard errs on the side of asking. */
function isAmong(concept: CodeableConcept | undefined, drugs: readonly Drug[], more: readonly string[]): boolean {
  const codings = concept?.coding ?? [];
  const codes = codings.filter(({ system }) => system === RXNORM).map(({ code }) => code);
  if (drugs.some(({ rxnorm }) => rxnorm !== undefined && codes.includes(rxnorm))) {
    return true;
  }
  const texts = [concept?.text, ...codings.map(({ display }) => display)].filter((text) => text !== undefined);
  const said = texts.map(plainWords);
  const substances = [...drugs.flatMap(({ name, also }) => [name, ...(also ?? [])]), ...more].map(plainWords);
  const brands = drugs.flatMap((drug) => drug.brands ?? []).map(plainWords);
  return said.some(
    (words) =>
      substances.some((name) => isNamed(words, name) || beginsLike(words, name, 1)) ||
      brands.some((name) => isNamed(words, name) || beginsLike(words, name, 0))
  );
}

function isNamed(words: readonly string[], name: readonly string[]): boolean {
  return name.length > 0 && ` ${words.join(' ')} `.includes(` ${name.join(' ')} `);
}

/**
 * Whether a word, or two that were written apart, begins like a name: `oxycodon`, `oxycodonhydrochlorid`, `oxy-codone`.
 * @param ending - Letters at the end of the name that may be others.
 */
function beginsLike(words: readonly string[], [name = '', ...others]: readonly string[], ending: number): boolean {
  if (others.length > 0 || name.length < LEAST_FOR_A_STEM) {
    return false;
  }
  const stem = name.slice(0, name.length - ending);
  return words.some((word, index) => word.startsWith(stem) || `${word}${words[index + 1] ?? ''}`.startsWith(stem));
}
