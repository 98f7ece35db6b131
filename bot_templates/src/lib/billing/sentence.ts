import type { Place } from './quote.ts';

/** Longest stretch before and after that is looked at: a note may have no full stop at all. */
const REACH = 400;

/** The sentence that a place stands in, with the mark that ends it. */
export function sentenceAround(text: string, { start, end }: Place): Place {
  let from = start;
  const earliest = Math.max(0, start - REACH);
  while (from > earliest && !endsSentence(text, from - 1)) {
    from--;
  }
  let to = end;
  const latest = Math.min(text.length, end + REACH);
  while (to < latest && !endsSentence(text, to - 1)) {
    to++;
  }
  return { start: from, end: to };
}

/** A full stop with a space and no small letter after it, or a line end that is no mere wrap. */
function endsSentence(text: string, at: number): boolean {
  const character = text[at];
  if (character === '\n') {
    return endsLine(text, at);
  }
  if (character === '!' || character === '?') {
    return /^\s?$/.test(text[at + 1] ?? '');
  }
  return (
    character === '.' && /^(?:\s+[^\p{Ll}\s]|\s*$)/u.test(text.slice(at + 1, at + 12)) && !endsAbbreviation(text, at)
  );
}

/** `vs.` and its like end no sentence: what stands before them still counts. */
function endsAbbreviation(text: string, at: number): boolean {
  return /(?:^|[^\p{L}])(?:vs|dr|mr|mrs|ms|pt|pts|no|neg|pos|hx|st|approx|incl|e\.g|i\.e|r\/o|h\/o|s\/p)$/iu.test(
    text.slice(Math.max(0, at - 8), at)
  );
}

/** A line this long is likely to go on in the next. */
const WRAPPED = 55;

function endsLine(text: string, at: number): boolean {
  const line = text.slice(text.lastIndexOf('\n', at - 1) + 1, at);
  const next = text.slice(at + 1, at + 12).trimStart();
  const listed = /^(?:[-*•]|\d{1,2}[.)])/.test(next);
  return line.trim() === '' || next === '' || listed || (line.length < WRAPPED && /^\p{Lu}/u.test(next));
}
