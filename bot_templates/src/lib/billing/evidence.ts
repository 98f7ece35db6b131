import { type Doubt, doubtOf } from './assertion.ts';
import { fit } from './fit.ts';
import type { Leaf } from './icd10cm.ts';
import { findQuote } from './quote.ts';

/** What is wrong with a model's evidence. */
export type EvidenceFault = 'NOT_IN_SOURCE' | 'UNRELATED' | 'TOO_SPECIFIC' | 'CONTRADICTS' | Doubt;

/** A passage of a note. */
export interface Passage {
  text: string;
  /** The heading in force where the passage begins. */
  heading: string;
}

/**
 * Judges the evidence that a model gives for a code.
 *
 * The quote must stand in the passage, word for word; it must speak of what the code means; and one of the places where
 * it stands must assert it of this patient, today and without doubt.
 * @returns What is wrong; undefined when it holds.
 */
export function evidenceFault(quote: string, passage: Passage, leaf: Leaf): EvidenceFault | undefined {
  const places = findQuote(quote, passage.text);
  if (places.length === 0) {
    return 'NOT_IN_SOURCE';
  }
  const fitting = fit(quote, leaf);
  // Where the code is another question, the whole quote is what is asserted.
  const anchor = fitting.fits ? fitting.anchor : 0;
  const doubts = places.map((place) => doubtOf(passage, place, anchor, leaf.description));
  const doubt = doubts.includes(undefined) ? undefined : doubts[0];
  return doubt ?? (fitting.fits ? undefined : fitting.because);
}
