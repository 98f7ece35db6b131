import { stemOf, stemsOf } from './stems.ts';

/** What a text says is, and what it says is not, in words without their endings. */
interface Polarity {
  affirmed: Set<string>;
  denied: Set<string>;
}

/** What follows this in its clause is said not to be; where nothing follows, what precedes it. */
const DENIES_FOLLOWING =
  /\b(?:negative for|free of|absence of|no|not|non|never|none|nor|neither|without|denies|denied|deny|denying|lacks?|cannot)\b|n't\b/i;
/** What precedes this in its clause is said not to be; where nothing precedes, what follows. */
const DENIES_PRECEDING = /\b(?:absent|negative|excluded|ruled out)\b/i;
const STARTS_ANEW =
  '(?:reports?|reported|endorses?|has|had|is|was|complains?|describes?|states?|continues?|presents?|takes?|notes|feels|positive for)\\b';
/** Where another clause begins. */
const CLAUSE = new RegExp(
  `[.!?](?=\\s|$)|[;\\n]|,?\\s(?:but|however|although|though|except|yet)\\b|(?:,|,?\\sand)\\s(?=${STARTS_ANEW})`,
  'i'
);

/** Words that make no statement of their own within a denial. */
const EMPTY = new Set(
  [
    'evidence acute known current currently present signs symptoms significant associated further noted',
    'reports history arrival denies denied negative absent',
  ]
    .flatMap((words) => words.split(' '))
    .map(stemOf)
);

/**
 * Whether a sentence denies what its sources do not deny, or affirms what they only deny.
 *
 * "Denies chest pain" must be in a source: a negative finding that nobody recorded is as invented as a positive one.
 * English only; a word such as "afebrile" is a word like any other.
 */
export function mismatchedNegation(text: string, said: string): boolean {
  const sentence = polarityOf(text);
  const source = polarityOf(said);
  const invented = [...sentence.denied].some((word) => !EMPTY.has(word) && !source.denied.has(word));
  const lost = [...sentence.affirmed].some(
    (word) => !sentence.denied.has(word) && !EMPTY.has(word) && source.denied.has(word) && !source.affirmed.has(word)
  );
  return invented || lost;
}

function polarityOf(text: string): Polarity {
  const polarity: Polarity = { affirmed: new Set(), denied: new Set() };
  for (const clause of text.split(CLAUSE)) {
    addClause(polarity, clause);
  }
  return polarity;
}

function addClause({ affirmed, denied }: Polarity, clause: string): void {
  const following = DENIES_FOLLOWING.exec(clause);
  const cue = following ?? DENIES_PRECEDING.exec(clause);
  if (cue === null) {
    add(affirmed, clause);
    return;
  }
  const before = clause.slice(0, cue.index);
  const after = clause.slice(cue.index + cue[0].length);
  // "Cough present, fever absent": a comma parts what is denied from what is not.
  const comma = before.lastIndexOf(',') + 1;
  const near = before.slice(comma);
  if (following ? says(after) : !says(near)) {
    add(affirmed, before);
    add(denied, after);
  } else {
    add(affirmed, before.slice(0, comma));
    add(denied, near);
    add(affirmed, after);
  }
}

function says(text: string): boolean {
  return [...stemsOf(text)].some((word) => !EMPTY.has(word));
}

function add(words: Set<string>, text: string): void {
  for (const word of stemsOf(text)) {
    words.add(word);
  }
}
