import { contentWords } from './grounding.ts';

/** Short words that `contentWords` leaves in, and that say nothing of a patient. */
const STOP = new Set(
  [
    'aged all and any are but can did due for get got had has her him his how its may not off old one our out per she',
    'the too two use via was were who why yet you',
  ].flatMap((words) => words.split(' '))
);

/** The words of a text that carry meaning, cut so that `smokes` and `smoke`, `wheezing` and `wheeze` are the same. */
export function stemsOf(text: string): Set<string> {
  return new Set([...contentWords(text)].filter((word) => !STOP.has(word)).map(stemOf));
}

/** @param word - One that `contentWords` gave, or a whole word in lower case. */
export function stemOf(word: string): string {
  return word.slice(0, 6).replace(/(?:ing|ed|es|[eiys])$/, '');
}
