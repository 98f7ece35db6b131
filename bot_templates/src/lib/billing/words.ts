/** A word of a text, in lower case, and where it stands. */
export interface Word {
  text: string;
  at: number;
}

/** The words of a text, letters and digits of any script, and its numbers. */
export function wordsOf(text: string): Word[] {
  return [...text.matchAll(/\d+(?:\.\d+)?|\p{L}[\p{L}\p{M}\p{Nd}]*/gu)].map((match) => ({
    text: match[0].toLowerCase(),
    at: match.index,
  }));
}

/** Least length of a beginning that two words must share. */
const BEGINNING = 6;
/** And least part of the longer one. */
const SHARE = 0.6;
/** Longest ending that a short word may have more than another. */
const ENDING = 4;

/** Whether two words are forms of one: diabetes and diabetic, cough and coughing; not hypertension and hypertrophy. */
export function sameWord(one: string, other: string): boolean {
  const shorter = Math.min(one.length, other.length);
  const longer = Math.max(one.length, other.length);
  if (/\d/.test(one) || /\d/.test(other)) {
    return one === other;
  }
  let common = 0;
  while (common < shorter && one[common] === other[common]) {
    common++;
  }
  return common === shorter
    ? longer === shorter || (shorter >= 4 && longer - shorter <= ENDING)
    : common >= BEGINNING && common / longer >= SHARE;
}

/** Whether a list has a word, in whatever form. */
export function hasWord(words: readonly Word[], word: string): boolean {
  return words.some(({ text }) => sameWord(text, word));
}
