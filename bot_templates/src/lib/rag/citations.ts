import { contentWords, type GroundedSentence } from '../model/grounding.ts';
import { numbersNotIn } from '../model/numbers.ts';
import type { Passage } from './passages.ts';
import { type Point, pointLine, pointsShown, type Series } from './series.ts';

/** Where the record says what a sentence says. */
export interface Citation {
  /** The record's own words. */
  text: string;
  /** `Type/id` */
  source: string;
  date: string | null;
  /** The sentence of the answer that rests on it. */
  sentence: string;
}

/** Longest passage that a citation quotes. */
const LONGEST = 300;

/** The citations of an answer, in its order; of a series, the Observations whose values or dates a sentence names. */
export function citationsOf(kept: readonly GroundedSentence[], passages: ReadonlyMap<string, Passage>): Citation[] {
  return kept.flatMap(({ text: sentence, sources }) =>
    sources.flatMap(({ id, text }) => {
      const passage = passages.get(id) as Passage;
      if (passage.series !== undefined) {
        return pointsNamed(sentence, passage.series).map((point) => ({
          text: `${passage.title}\n${pointLine(point)}`,
          source: point.reference,
          date: point.date ?? null,
          sentence,
        }));
      }
      return [{ text: quote(sentence, text), source: passage.reference, date: passage.date ?? null, sentence }];
    })
  );
}

/** The points that a sentence names by value or day; of a sentence that names none, all, for it is about them. */
function pointsNamed(sentence: string, series: Series): readonly Point[] {
  const points = pointsShown(series);
  const notSaid = numbersNotIn(sentence);
  const says = (part: string | undefined): boolean => part !== undefined && notSaid(part).length === 0;
  const named = points.filter(({ text, date }) => says(/[\d<>][^]*/.exec(text)?.[0]) || says(date));
  return named.length > 0 ? named : points;
}

/** The line or sentence of a text that has most of the words and figures of a sentence. */
function quote(sentence: string, text: string): string {
  if (text.length <= LONGEST) {
    return text;
  }
  const said = partsOf(sentence);
  const lines = text.split(/\n+|(?<=[.!?])\s+(?=\p{Lu})/u).filter((line) => line.trim() !== '');
  const scored = lines.map((line) => ({ line, score: partsOf(line).filter((part) => said.includes(part)).length }));
  const best = scored.reduce((one, other) => (other.score > one.score ? other : one), { line: '', score: -1 }).line;
  if (best.length <= LONGEST) {
    return best.trim();
  }
  const space = best.lastIndexOf(' ', LONGEST);
  return `${best.slice(0, space > 0 ? space : LONGEST).toWellFormed()} …`;
}

function partsOf(text: string): string[] {
  return [...contentWords(text), ...(text.match(/\d+/g) ?? [])];
}
