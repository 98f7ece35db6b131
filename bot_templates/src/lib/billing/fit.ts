import { ABBREVIATIONS, EVERYWHERE, HISTORY, QUALIFIERS } from './clinical-words.ts';
import type { Leaf } from './icd10cm.ts';
import { hasWord, type Word, wordsOf } from './words.ts';

/** How a quote fits the meaning of a code. */
export type Fit =
  /** `anchor`: where in the quote it begins to speak of it. */
  | { fits: true; anchor: number }
  /** It speaks of something else; or says less than the code; or the contrary. */
  | { fits: false; because: 'UNRELATED' | 'TOO_SPECIFIC' | 'CONTRADICTS' };

/**
 * Whether a quote says what a code says, as far as words can tell: a guard against codes that say more than the note.
 *
 * One telling word must be shared with the code, its inclusion terms or what stands above it. What the code's
 * description adds to its category must be said too: each number, each letter as in hepatitis B, each qualifier such as
 * severe or left, and one word of what stands after `with` or `due to`. A quote that holds a whole inclusion term of
 * the code needs no more.
 */
export function fit(quote: string, leaf: Leaf): Fit {
  const said = arabic(wordsOf(quote).flatMap(spelledOut));
  const meant = [leaf.description, ...leaf.terms, ...leaf.above].flatMap(wordsOf);
  const anchor = said.find(({ text }) => isTelling(text) && hasWord(meant, text));
  if (anchor === undefined) {
    return { fits: false, because: 'UNRELATED' };
  }
  if (contradicts(said, leaf)) {
    return { fits: false, because: 'CONTRADICTS' };
  }
  return includesTerm(said, leaf) || saysEnough(said, leaf)
    ? { fits: true, anchor: anchor.at }
    : { fits: false, because: 'TOO_SPECIFIC' };
}

function isTelling(word: string): boolean {
  return word.length >= 3 && !/\d/.test(word) && !EVERYWHERE.has(word);
}

function includesTerm(said: readonly Word[], { terms }: Leaf): boolean {
  return terms.some((term) => {
    const words = wordsOf(term).filter(({ text }) => text !== 'nos');
    return words.some(({ text }) => isTelling(text)) && words.every(({ text }) => hasWord(said, text));
  });
}

function saysEnough(said: readonly Word[], leaf: Leaf): boolean {
  const description = essential(leaf.description);
  const category = wordsOf(essential(leaf.category));
  const needed = wordsOf(description).filter(
    ({ text }) => HISTORY.includes(text) || (isSpecific(text) && !hasWord(category, text))
  );
  return needed.every(({ text }) => hasWord(said, text)) && saysCompanion(said, description);
}

function isSpecific(word: string): boolean {
  return /\d|^[b-rt-z]$/.test(word) || QUALIFIERS.includes(word);
}

/**
 * What a description says of more than the disease itself: `Type 2 diabetes mellitus with hyperglycemia`. The disease's
 * own name repeated does not say it: `with diabetic nephropathy` takes the nephropathy.
 */
function saysCompanion(said: readonly Word[], description: string): boolean {
  const [disease = '', companion = ''] = description.split(/\b(?:with|due to|following)\b(.*)$/i);
  const telling = wordsOf(companion).filter(({ text }) => isTelling(text));
  const named = wordsOf(disease);
  const further = telling.filter(({ text }) => !hasWord(named, text));
  return further.length > 0
    ? further.some(({ text }) => hasWord(said, text))
    : telling.every(({ text }) => said.some((word) => word.text === text));
}

/** A description without what need not be said: parentheses, what it excludes, and the kind of encounter. */
function essential(description: string): string {
  return description
    .replace(/\([^()]*\)|\[[^[\]]*\]/g, ' ')
    .replace(/,? (?:initial|subsequent) encounter.*$/i, '')
    .replace(/\b(?:without|not|no)\b[^,]*/gi, ' ');
}

const OPPOSITES = [
  ['acute', 'chronic'],
  ['left', 'right'],
  ['mild', 'severe'],
] as const;

/** Whether a quote names another side, course, type or stage than the code. */
function contradicts(said: readonly Word[], leaf: Leaf): boolean {
  const meant = wordsOf(`${essential(leaf.category)} ${essential(leaf.description)}`);
  const opposed = OPPOSITES.flatMap(([one, other]) => [[one, other] as const, [other, one] as const]).some(
    ([one, other]) => hasWord(said, one) && !hasWord(said, other) && hasWord(meant, other) && !hasWord(meant, one)
  );
  const kinds = kindsOf(said);
  const expected = kindsOf(arabic(meant));
  return opposed || [...kinds].some(([kind, number]) => expected.has(kind) && expected.get(kind) !== number);
}

/** A word, and what it stands for where it is short for more. */
function spelledOut(word: Word): Word[] {
  const long = Object.hasOwn(ABBREVIATIONS, word.text) ? (ABBREVIATIONS[word.text] as string) : '';
  return [word, ...wordsOf(long).map(({ text }) => ({ text, at: word.at }))];
}

const ROMAN = ['i', 'ii', 'iii', 'iv', 'v'];
const COUNTED = ['type', 'stage', 'grade', 'class'];

/** `stage iv` as `stage 4`. */
function arabic(words: readonly Word[]): Word[] {
  return words.map((word, index) => {
    const number = ROMAN.indexOf(word.text) + 1;
    return number > 0 && COUNTED.includes(words[index - 1]?.text ?? '') ? { ...word, text: String(number) } : word;
  });
}

/** `type 2`: the number after each such word. */
function kindsOf(words: readonly Word[]): Map<string, string> {
  return new Map(
    words
      .map(({ text }, index) => [text, words[index + 1]?.text ?? ''] as const)
      .filter(([text, next]) => COUNTED.includes(text) && /^\d/.test(next))
  );
}
