/** Where a quote stands in a text. */
export interface Place {
  start: number;
  end: number;
}

/** Lengths of a quote that is taken for evidence, in UTF-16 units. */
export const QUOTE_LIMITS = { shortest: 3, longest: 300 } as const;
/** Places that are looked at. */
const MOST_PLACES = 20;

/**
 * Finds a quote word for word in a text; only white space and case may differ, and it begins and ends with whole words.
 */
export function findQuote(quote: string, text: string): Place[] {
  const wanted = quote.trim().replace(/\s+/g, ' ').toLowerCase();
  if (wanted.length < QUOTE_LIMITS.shortest || wanted.length > QUOTE_LIMITS.longest) {
    return [];
  }
  const { plain, origins } = withoutSpace(text);
  const places: Place[] = [];
  for (let at = plain.indexOf(wanted); at >= 0 && places.length < MOST_PLACES; at = plain.indexOf(wanted, at + 1)) {
    const end = at + wanted.length;
    if (isWhole(plain, at, end)) {
      places.push({ start: origins[at] as number, end: (origins[end - 1] as number) + 1 });
    }
  }
  return places;
}

/** A text in lower case with each white space as one blank, and where each of its characters comes from. */
function withoutSpace(text: string): { plain: string; origins: number[] } {
  let plain = '';
  const origins: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at] as string;
    const blank = /\s/.test(character);
    if (!blank || !plain.endsWith(' ')) {
      const lower = character.toLowerCase();
      // A letter whose lower case is longer would shift all that follows.
      plain += blank ? ' ' : lower.length === 1 ? lower : character;
      origins.push(at);
    }
  }
  return { plain, origins };
}

function isWhole(text: string, start: number, end: number): boolean {
  return !(isWordAt(text, start - 1) && isWordAt(text, start)) && !(isWordAt(text, end - 1) && isWordAt(text, end));
}

function isWordAt(text: string, at: number): boolean {
  return /[\p{L}\p{Nd}]/u.test(text[at] ?? '');
}
