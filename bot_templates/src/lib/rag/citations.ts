import { contentWords, type GroundedSentence } from '../model/grounding.ts';
import { unsupportedNumbers } from '../model/numbers.ts';
import type { Passage } from './passages.ts';
import { type Point, pointLine } from './series.ts';

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
        return pointsNamed(sentence, passage.series.points).map((point) => ({
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
function pointsNamed(sentence: string, points: readonly Point[]): readonly Point[] {
  const named = points.filter((point) => {
    const says = (part: string | undefined): boolean => part !== undefined && unsupportedNumbers(part, sentence).length === 0;
    return says(point.text.replace(/^[^\d<>]*/, '')) || says(point.date);
  });
  return named.length > 0 ? named : points;
}

/** The line or sentence of a text that has most of what a sentence says. */
function quote(sentence: string, text: string): string {
  if (text.length <= LONGEST) {
    return text;
  }
  const words = contentWords(sentence);
  const lines = text.split(/\n+|(?<=[.!?])\s+(?=\p{Lu})/u).filter((line) => line.trim() !== '');
  const shared = (line: string): number =>
    [...contentWords(line)].filter((word) => words.has(word)).length + (unsupportedNumbers(sentence, line).length === 0 ? 1 : 0);
  const best = lines.reduce((one, other) => (shared(other) > shared(one) ? other : one), '');
  if (best.length <= LONGEST) {
    return best.trim();
  }
  const space = best.lastIndexOf(' ', LONGEST);
  return `${best.slice(0, space > 0 ? space : LONGEST).toWellFormed()} …`;
}
