import { addressesModel, REMOVED } from './injection.ts';
import type { JsonSchema } from './json-schema.ts';
import { sharesNumber, unsupportedNumbers } from './numbers.ts';
import type { Source, Sources } from './sources.ts';

export { canonical, unsupportedNumbers } from './numbers.ts';

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
 * Keeps the sentences that cite a source and say no number, date, code or id which their cited sources do not have.
 *
 * Unknown citations are dropped, and with the last one the sentence. A sentence that shares no word and no number with
 * its sources goes too, and so does one that speaks to a model, or that holds a link or markup.
 */
export function ground(sentences: readonly CitedSentence[], sources: Sources): Grounding {
  const kept: GroundedSentence[] = [];
  const warnings = new Set<string>();
  for (const { text: given, citations } of sentences) {
    const { text, marks } = withoutMarks(given);
    const ids = new Set([...citations, ...marks].flatMap(citationIds));
    const cited = [...ids].map((id) => sources.find(id));
    if (cited.includes(undefined)) {
      warnings.add('UNKNOWN_CITATION');
    }
    const known = cited.filter((source) => source !== undefined);
    const dropped = reasonToDrop(text, known);
    if (dropped === undefined) {
      kept.push({ text, sources: known });
    } else {
      warnings.add(dropped);
    }
  }
  return { kept, warnings: [...warnings] };
}

/** Citations that a model wrote into its sentence: `[S1, S2]`, `(see S1)`, `【S1】`. */
const CITATION_MARK =
  / ?[[(【（] ?(?:sources?|refs?|citations?|see|cf\.?)?:? ?S\d{1,4}(?: [0-9a-f]{6,32})?(?: ?(?:,|;|&|\/|and|to|-|–)? ?S\d{1,4}){0,30} ?[\])】）]/gi;

function withoutMarks(sentence: string): { text: string; marks: string[] } {
  const marks = sentence.match(CITATION_MARK) ?? [];
  return { text: sentence.replace(CITATION_MARK, '').replaceAll(REMOVED, '').trim(), marks };
}

/** `S1`, `[S1]` and `s1` mean S1; `S1, S2` means both; anything else is no id of a source. */
function citationIds(citation: string): string[] {
  const ids = citation.toUpperCase().match(/(?<![A-Z\d])S\d{1,4}(?![A-Z\d])/g);
  return ids ?? [citation];
}

/** Links and markup, by which an answer could carry data out or hide words. */
const UNSAFE =
  /\b(?:https?|ftp|file|mailto|javascript|vbscript):|\bdata:[a-z]{1,20}\/|\bwww\.|<[a-z!/]|!\[|\]\(|\b[a-z0-9-]{2,63}\.(?:com|net|org|io|ru|cn|xyz|info)\b/i;

/** Why a sentence may not be shown with these sources. */
export function reasonToDrop(text: string, cited: readonly Source[]): Dropped | undefined {
  if (text.trim() === '' || cited.length === 0) {
    return 'UNCITED_SENTENCE';
  }
  if (UNSAFE.test(text) || addressesModel(text)) {
    return 'UNSAFE_TEXT';
  }
  const said = textOf(cited);
  if (unsupportedNumbers(text, said).length > 0) {
    return 'UNSUPPORTED_NUMBER';
  }
  const words = contentWords(said);
  const shares = [...contentWords(text)].some((word) => words.has(word)) || sharesNumber(text, said);
  return shares ? undefined : 'UNSUPPORTED_STATEMENT';
}

/** All that some sources say. */
export function textOf(cited: readonly Source[]): string {
  return cited.map((source) => `${source.title}\n${source.date ?? ''}\n${source.text}`).join('\n');
}

/** Words that say nothing by themselves. English, German, French, Spanish. */
const FRAME = new Set(
  [
    'about after also and are because been before being both but can could did does documented due during each for from',
    'had has have her him his how into its may more most must not now off one only other our out over patient patients per',
    'record recorded reported same she shows since some such than that the their them then there these they this those',
    'through too two under until via was were what when where which while who why will with would yes you your',
    'aber als am auf aus bei bis das dem den der des die ein eine einem einen einer eines für hat ihr im in ist mit nach',
    'nicht oder sein sich sie sind und unter von war wird wurde zu zum zur',
    'aux avec ces cette dans des elle est les leur mais par pas pour que qui ses son sont sur une',
    'con como del ella entre esta este fue hay las los más para pero por según ser sin son una',
  ]
    .join(' ')
    .split(' ')
);

/** Spellings of one word. */
const SPELLINGS: Record<string, string> = { hba1c: 'a1c', hgba1c: 'a1c' };
/** Scripts that put no space between words. */
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;

/**
 * Words of three letters or more that carry meaning, without their endings; of scripts without spaces, pairs of letters.
 * A number is no word.
 */
export function contentWords(text: string): Set<string> {
  const words =
    text
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{Nd}]{2,}/gu) ?? [];
  return new Set(
    words
      .filter((word) => /\p{L}/u.test(word) && !FRAME.has(word))
      .filter((word) => word.length >= 3 || /[^\u0000-\u024f]/.test(word))
      .flatMap((word) => (UNSPACED.test(word) ? pairs(word) : [(SPELLINGS[word] ?? word).slice(0, 6)]))
  );
}

function pairs(word: string): string[] {
  const letters = [...word];
  return letters.slice(1).map((letter, index) => `${letters[index]}${letter}`);
}
