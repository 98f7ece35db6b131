import type { JsonSchema } from './json-schema.ts';
import type { Source, Sources } from './sources.ts';

/** A sentence as the model gives it. */
export interface CitedSentence {
  text: string;
  citations: string[];
}

/** A sentence that its sources bear out, as far as code can tell. */
export interface GroundedSentence {
  text: string;
  sources: Source[];
}

/** The schema of a list of cited sentences. */
export function citedSentences(maxItems: number, description: string): JsonSchema {
  return {
    type: 'array',
    maxItems,
    description,
    items: {
      type: 'object',
      properties: {
        text: { type: 'string', maxLength: 1_000, description: 'One sentence.' },
        citations: {
          type: 'array',
          maxItems: 20,
          items: { type: 'string', maxLength: 20 },
          description: 'Ids of the sources that say it, such as S1.',
        },
      },
      required: ['text', 'citations'],
      additionalProperties: false,
    },
  };
}

/** Why a sentence was dropped; the words of a bot's warnings. */
export type Dropped = 'UNCITED_SENTENCE' | 'UNSUPPORTED_NUMBER' | 'UNSUPPORTED_STATEMENT' | 'UNSAFE_TEXT';

/** Sentences that may be shown, and what became of the others. */
export interface Grounding {
  kept: GroundedSentence[];
  /** Reasons, each once; `UNKNOWN_CITATION` where an id was dropped from a sentence that stayed or went. */
  warnings: string[];
}

/**
 * Keeps the sentences that cite a source and say no number, code or id which their cited sources do not have.
 *
 * Unknown citations are dropped, and with the last one the sentence. A sentence that shares no word with its sources,
 * or that holds a link or markup, goes too.
 */
export function ground(sentences: readonly CitedSentence[], sources: Sources): Grounding {
  const kept: GroundedSentence[] = [];
  const warnings = new Set<string>();
  for (const { text: given, citations } of sentences) {
    const text = given.replace(CITATION_MARKS, '');
    const cited = [...new Set(citations.map(citationId))].map((id) => sources.find(id));
    if (cited.includes(undefined)) {
      warnings.add('UNKNOWN_CITATION');
    }
    const known = cited.filter((source) => source !== undefined);
    const dropped = reasonToDrop(text, known);
    if (dropped === undefined) {
      kept.push({ text: text.trim(), sources: known });
    } else {
      warnings.add(dropped);
    }
  }
  return { kept, warnings: [...warnings] };
}

/** Citations that a model wrote into its sentence as well: `[S1, S2]`. */
const CITATION_MARKS = /\s*[[(]\s*S\d+(?:\s*,\s*S\d+)*\s*[\])]/gi;

/** `[S1]` and `s1` mean S1. */
function citationId(citation: string): string {
  return citation.replace(/[[\]\s]/g, '').toUpperCase();
}

/** Why a sentence may not be shown with these sources. */
export function reasonToDrop(text: string, cited: readonly Source[]): Dropped | undefined {
  if (text.trim() === '' || cited.length === 0) {
    return 'UNCITED_SENTENCE';
  }
  if (/https?:|www\.|<[a-z!/]|!\[|\]\(|\bdata:|javascript:/i.test(text)) {
    return 'UNSAFE_TEXT';
  }
  const said = cited.map((source) => `${source.title}\n${source.date ?? ''}\n${source.text}`).join('\n');
  if (unsupportedNumbers(text, said).length > 0) {
    return 'UNSUPPORTED_NUMBER';
  }
  const words = contentWords(said);
  return [...contentWords(text)].some((word) => words.has(word)) ? undefined : 'UNSUPPORTED_STATEMENT';
}

/** The numbers, codes and ids of a text that another text does not have. */
export function unsupportedNumbers(text: string, said: string): string[] {
  const known = new Set(numbersOf(said));
  return numbersOf(text).filter((number) => !known.has(number));
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi;
/** `E11.9`, `Z99.999`, `J45`: letters that begin a code are part of it. */
const CODE = /(?<![A-Za-z0-9])[A-Za-z]{1,2}\d{2,}[A-Za-z0-9]*(?:\.[A-Za-z0-9]+)?/g;
/** A number; the digit in `HbA1c` or `B1` belongs to a word. */
const NUMBER = /(?<![A-Za-z0-9])(?<!\d[.,])(?:\.\d+|\d+(?:[.,]\d+)*)/g;

/** Each number in one spelling, digits of every script alike; `08.20` is 8.2, and `1,200` is 1200. */
function numbersOf(text: string): string[] {
  const plain = text.normalize('NFKC').replace(/\p{Nd}/gu, (digit) => latinDigit(digit));
  const ids = [...plain.matchAll(UUID)].map(([id]) => id.toLowerCase());
  const withoutIds = plain.replace(UUID, ' ');
  const codes = [...withoutIds.matchAll(CODE)].map(([code]) => code.toUpperCase());
  const numbers = [...withoutIds.replace(CODE, ' ').matchAll(NUMBER)].map(([number]) => canonical(number));
  return [...ids, ...codes, ...numbers];
}

function latinDigit(digit: string): string {
  const code = digit.codePointAt(0) as number;
  if (code <= 0x39) {
    return digit;
  }
  // Decimal digits of a script stand in runs of ten, the zero first.
  let zero = code;
  while (/\p{Nd}/u.test(String.fromCodePoint(zero - 1)) && code - zero < 9) {
    zero--;
  }
  return String(code - zero);
}

/** A number in its one spelling: `08,20` is 8.2, and `1,200` is 1200. */
export function canonical(number: string): string {
  const grouped = /^\d{1,3}(?:,\d{3})+(?:\.\d+)?$/.test(number) ? number.replaceAll(',', '') : number.replace(',', '.');
  const value = Number(grouped);
  return Number.isFinite(value) ? String(value) : grouped;
}

const FRAME = new Set(
  'about after also because been before being both could does documented during each from have into more most must only other over patient patients record recorded reported same shows since some such than that their them then there these they this those through under until were what when where which while will with would your'.split(
    ' '
  )
);

/** Words of four letters or more that carry meaning, without their endings; of scripts without spaces, pairs of letters. */
export function contentWords(text: string): Set<string> {
  const words = text.normalize('NFKC').toLowerCase().match(/[\p{L}\p{M}\p{Nd}]{2,}/gu) ?? [];
  return new Set(
    words
      .filter((word) => !FRAME.has(word) && (word.length >= 3 || /[^\u0000-\u024f]/.test(word)))
      .map((word) => word.slice(0, 6))
  );
}
