/** A text without its disguises, and where each of its characters stood. */
export interface PlainText {
  /** Lower case; Latin letters without accents; a run of white space is one space, tab or line break. */
  text: string;
  /** For each UTF-16 unit of `text`, the index in the original. */
  at: readonly number[];
}

/**
 * Characters that are not seen: zero width, bidirectional controls, Unicode tags, variation selectors, fillers.
 * (ZWJ and ZWNJ shape letters of some scripts; their loss changes no word.)
 */
export const UNSEEN =
  /[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\u{e0000}-\u{e0fff}]/gu;

/** Latin letters in other clothes: accents, full width, mathematical and circled letters. */
const DRESSED =
  /[\u00aa-\u024f\u1e00-\u1eff\u2070-\u209f\u2100-\u214f\u2460-\u24ff\ufb00-\ufb06\uff01-\uff5e]|[\u{1d400}-\u{1d7ff}\u{1f100}-\u{1f189}]/u;

/** Letters that no normalization takes apart. */
const UNDRESSED: Record<string, string> = { ø: 'o', ł: 'l', đ: 'd', ð: 'd', ı: 'i', æ: 'ae', œ: 'oe', þ: 'th' };

/** Letters of other scripts that look Latin. */
const LOOKALIKES = new Map(
  Object.entries({
    ...{ а: 'a', е: 'e', о: 'o', р: 'p', с: 'c', у: 'y', х: 'x', і: 'i', ѕ: 's', ј: 'j', ԁ: 'd', һ: 'h', к: 'k' },
    ...{ ո: 'n', ս: 'u', օ: 'o', ο: 'o', α: 'a', ε: 'e', ι: 'i', ν: 'v', ρ: 'p', υ: 'u', τ: 't', κ: 'k', η: 'n' },
    ...{ ɡ: 'g', ɑ: 'a', ɩ: 'i', ᴀ: 'a', ʙ: 'b', ᴄ: 'c', ᴅ: 'd', ᴇ: 'e', ɢ: 'g', ʜ: 'h', ɪ: 'i', ᴊ: 'j', ᴋ: 'k' },
    ...{ ʟ: 'l', ᴍ: 'm', ɴ: 'n', ᴏ: 'o', ᴘ: 'p', ʀ: 'r', ꜱ: 's', ᴛ: 't', ᴜ: 'u', ᴠ: 'v', ᴡ: 'w', ʏ: 'y', ᴢ: 'z' },
  })
);

/**
 * Reads a text in Unicode form C as a model would; what it is read from stays as it is.
 *
 * A line break stays one where a line could begin anew; before a small letter it is a space, for lines of a note are
 * often broken at a column. Where words stand apart by more than a space, they do so by a tab.
 */
export function plainText(original: string): PlainText {
  const parts: string[] = [];
  const at: number[] = [];
  let space = '';
  for (let index = 0; index < original.length;) {
    const character = String.fromCodePoint(original.codePointAt(index) as number);
    if (isSpace(character)) {
      space += character;
    } else if (character < '\u0300' || character > '\u036f') {
      if (space !== '') {
        parts.push(spaceBetween(space, character));
        at.push(index - 1);
        space = '';
      }
      const plain = undressed(character);
      parts.push(plain);
      for (let unit = 0; unit < plain.length; unit++) {
        at.push(index);
      }
    }
    index += character.length;
  }
  return { text: withoutLookalikes(parts.join('')), at };
}

function isSpace(character: string): boolean {
  return character <= ' ' || (character >= '\u0080' && /\s/.test(character));
}

function spaceBetween(space: string, next: string): string {
  if (space === ' ') {
    return space;
  }
  const breaks = space.split('\n').length - 1;
  if (breaks > 1 || (breaks === 1 && !/\p{Ll}/u.test(next))) {
    return '\n';
  }
  return space.length > 1 && breaks === 0 ? '\t' : ' ';
}

function undressed(character: string): string {
  if (character < '\u0080') {
    return character.toLowerCase();
  }
  const lower = character.toLowerCase();
  if (!DRESSED.test(character)) {
    return lower;
  }
  const bare = lower
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .toLowerCase();
  return UNDRESSED[bare] ?? bare;
}

/** Replaced only within words that hold Latin letters too: a Russian word stays Russian. */
function withoutLookalikes(text: string): string {
  if (!/[\u0250-\u02af\u0370-\u058f\u1d00-\u1d7f\ua731]/.test(text)) {
    return text;
  }
  return text.replace(/[\p{L}]+/gu, (word) =>
    /[a-zᴀ-ᴢ]/.test(word) ? [...word].map((letter) => LOOKALIKES.get(letter) ?? letter).join('') : word
  );
}

/** The same with figures read as the letters that they stand for in `1gn0re`; undefined where no word has any. */
export function withoutFigures(plain: PlainText): PlainText | undefined {
  const FIGURES: Record<string, string> = {
    0: 'o',
    1: 'i',
    3: 'e',
    4: 'a',
    5: 's',
    7: 't',
    '@': 'a',
    $: 's',
    '!': 'i',
  };
  const text = plain.text.replace(/(?<=[a-z])[013457@$]|[013457@$!](?=[a-z])/g, (figure) => FIGURES[figure] ?? figure);
  return text === plain.text ? undefined : { ...plain, text };
}

/** The same with words joined that are written l i k e  t h i s; undefined where there is none. */
export function withoutGaps(plain: PlainText): PlainText | undefined {
  const SPELT = /(?<![\p{L}\p{N}])(?:\p{L}[ ._*-]){2,}\p{L}(?![\p{L}\p{N}])/gu;
  if (plain.text.search(SPELT) < 0) {
    return undefined;
  }
  let text = '';
  const at: number[] = [];
  let last = 0;
  const take = (start: number, end: number, keep: (unit: string) => boolean) => {
    for (let position = start; position < end; position++) {
      const unit = plain.text.charAt(position);
      if (keep(unit)) {
        text += unit;
        at.push(plain.at[position] as number);
      }
    }
  };
  for (const match of plain.text.matchAll(SPELT)) {
    take(last, match.index, () => true);
    take(match.index, match.index + match[0].length, (unit) => /\p{L}|[\ud800-\udfff]/u.test(unit));
    last = match.index + match[0].length;
  }
  take(last, plain.text.length, () => true);
  return { text, at };
}
