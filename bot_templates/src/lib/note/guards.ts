import { type GroundedSentence, textOf } from '../model/grounding.ts';
import { mismatchedNegation } from '../model/negation.ts';
import { unsupportedQuantities } from '../model/quantities.ts';
import { stemOf, stemsOf } from '../model/stems.ts';
import { unsupportedFindings, unsupportedJudgement, unsupportedMedicines, withoutJudgements } from './terms.ts';

/** Why a sentence of a model may not stand in a document, beyond what `ground` drops. */
export type DroppedFromNote =
  | 'UNSUPPORTED_EXAM_FINDING'
  | 'UNSUPPORTED_MEDICATION'
  | 'UNSUPPORTED_NUMBER'
  | 'UNSUPPORTED_NEGATION'
  | 'UNSUPPORTED_JUDGEMENT'
  | 'UNSUPPORTED_STATEMENT';

/** Share of a sentence's words that its sources must have. */
const COVERAGE = 0.6;

/** Words by which any document speaks; they neither support a sentence nor speak against it. */
const NARRATIVE = new Set(
  [
    'admitted agreed assess assessment care clinical complains complaint continue continued continues current',
    'currently denies describes diagnosed diagnosis discharge disease documented encounter established',
    'examination follow following further given history includes including known latest likely listed management',
    'medical medication medications monitor monitoring most noted now ongoing past person plan planned present',
    'presented presenting presents previous previously problem problems reason receives recent recently recheck',
    'record regarding remains reports review same seen shows since started states status suspected symptoms takes',
    'taking therapy today treated treatment under value visit year years',
  ]
    .flatMap((words) => words.split(' '))
    .map(stemOf)
);

/**
 * The reason why a sentence goes although it cites a source and its numbers stand there; undefined when it stays.
 *
 * In this order: what was not examined, given or measured must not appear; then what the sources say the other way
 * round; then what they hardly say at all.
 */
export function reasonToDropFromNote({ text, sources }: GroundedSentence): DroppedFromNote | undefined {
  const said = textOf(sources);
  if (unsupportedFindings(text, said).length > 0) {
    return 'UNSUPPORTED_EXAM_FINDING';
  }
  if (unsupportedMedicines(text, said).length > 0) {
    return 'UNSUPPORTED_MEDICATION';
  }
  if (unsupportedQuantities(text, said).length > 0) {
    return 'UNSUPPORTED_NUMBER';
  }
  if (mismatchedNegation(text, said)) {
    return 'UNSUPPORTED_NEGATION';
  }
  if (unsupportedJudgement(text, said)) {
    return 'UNSUPPORTED_JUDGEMENT';
  }
  return coverage(text, said) < COVERAGE ? 'UNSUPPORTED_STATEMENT' : undefined;
}

function coverage(text: string, said: string): number {
  // Judgements have a guard of their own: a source may bear one out by a code alone.
  const all = [...stemsOf(withoutJudgements(text))];
  const telling = all.filter((word) => !NARRATIVE.has(word));
  // Of a sentence that tells nothing else, the words by which any document speaks must be the source's.
  const words = telling.length > 0 ? telling : all;
  const known = stemsOf(said);
  return words.length === 0 ? 0 : words.filter((word) => known.has(word)).length / words.length;
}
