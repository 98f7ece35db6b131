import { type GroundedSentence, textOf } from '../model/grounding.ts';
import { mismatchedNegation } from '../model/negation.ts';
import { unsupportedNumbers } from '../model/numbers.ts';
import { unsupportedQuantities } from '../model/quantities.ts';
import type { Source } from '../model/sources.ts';
import { unsupportedMedicines } from '../note/terms.ts';
import type { Measure } from './measures.ts';
import { namedMeasures } from './named-measures.ts';
import type { Passage } from './passages.ts';
import type { Direction } from './series.ts';

/** Why a sentence may not be part of an answer, beyond what `ground` drops. */
export type DroppedFromAnswer =
  | 'UNSUPPORTED_MEDICATION'
  | 'UNSUPPORTED_NUMBER'
  | 'UNSUPPORTED_NEGATION'
  | 'UNSUPPORTED_STATEMENT'
  | 'UNSUPPORTED_TREND';

/**
 * The reason why a sentence goes although it cites a source and its figures stand there; undefined when it stays.
 *
 * In this order: a medicine that no source names; a value in another unit; the value of something else; what the
 * sources say the other way round; a course that they do not tell.
 */
export function reasonToDropFromAnswer(
  { text, sources }: GroundedSentence,
  passages: ReadonlyMap<string, Passage>
): DroppedFromAnswer | undefined {
  const said = textOf(sources);
  if (unsupportedMedicines(text, said).length > 0) {
    return 'UNSUPPORTED_MEDICATION';
  }
  if (unsupportedQuantities(text, said).length > 0) {
    return 'UNSUPPORTED_NUMBER';
  }
  const mismatch = measureMismatch(text, sources);
  if (mismatch !== undefined) {
    return mismatch;
  }
  if (mismatchedNegation(text, said)) {
    return 'UNSUPPORTED_NEGATION';
  }
  return contradictsSeries(text, sources, passages) ? 'UNSUPPORTED_TREND' : undefined;
}

/** "Potassium was 8.2" is not borne out by an HbA1c of 8.2, also where both are cited. */
function measureMismatch(text: string, sources: readonly Source[]): DroppedFromAnswer | undefined {
  const named = namedMeasures(text);
  if (named.some((measure) => !sources.some((source) => isAbout(source, measure)))) {
    return 'UNSUPPORTED_STATEMENT';
  }
  const [only, ...others] = named;
  if (only === undefined || others.length > 0) {
    return undefined;
  }
  const counting = sources.filter((source) => !source.reference.startsWith('Observation/') || isAbout(source, only));
  return unsupportedNumbers(text, textOf(counting)).length > 0 ? 'UNSUPPORTED_NUMBER' : undefined;
}

/** What each source is about; it is asked for every sentence that cites it. */
const ABOUT = new WeakMap<Source, ReadonlySet<string>>();

/** Whether a source names a measure, by its words or by a LOINC code of it. */
function isAbout(source: Source, { name }: Measure): boolean {
  const names = ABOUT.get(source) ?? new Set(namedMeasures(textOf([source])).map((measure) => measure.name));
  ABOUT.set(source, names);
  return names.has(name);
}

/** A course by the words for it, and the directions of a series that bear it out. English, German, French, Spanish. */
const COURSES: readonly { words: RegExp; directions: readonly (Direction | undefined)[] }[] = [
  {
    words:
      /\b(?:rise[ns]?|rising|rose|increas\w{0,4}|went up|going up|goes up|climb\w{0,3}|upwards?|gestiegen|steigt|augment\w{0,4}|aument\w{0,4}|subi\w{0,4})\b/i,
    directions: ['rising', 'varying'],
  },
  {
    words:
      /\b(?:fall(?:s|en|ing)?|fell|decreas\w{0,4}|declin\w{0,4}|drop(?:s|ped|ping)?|went down|going down|goes down|downwards?|reduc\w{0,4}|gesunken|gefallen|sinkt|baiss\w{0,3}|diminu\w{0,4}|disminu\w{0,4}|baj\w{0,4})\b/i,
    directions: ['falling', 'varying'],
  },
  {
    words: /\b(?:stable|unchanged|constant|steady|steadily|unverandert|unverändert|estable)\b/i,
    directions: ['unchanged'],
  },
  {
    words: /\b(?:improv\w{0,6}|worsen\w{0,3}|deteriorat\w{0,3}|verbesser\w{0,3}|verschlechter\w{0,3})\b/i,
    directions: [],
  },
];

/** Whether a sentence tells a course that neither a cited series takes nor another source tells. */
function contradictsSeries(text: string, sources: readonly Source[], passages: ReadonlyMap<string, Passage>): boolean {
  const series = sources.map(({ id }) => passages.get(id)?.series).filter((each) => each !== undefined);
  const told = textOf(sources.filter(({ id }) => passages.get(id)?.series === undefined));
  return COURSES.some(
    ({ words, directions }) =>
      words.test(text) && !words.test(told) && !series.some(({ direction }) => directions.includes(direction))
  );
}
