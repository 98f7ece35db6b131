/** A piece of HTML or XML. Names are in lower case and without their namespace prefix. */
export type Token =
  | { kind: 'text'; text: string }
  | { kind: 'open'; name: string; attributes: string; selfClosing: boolean }
  | { kind: 'close'; name: string };

/** Elements whose content is no text, up to their end tag. */
const RAW = new Set(['script', 'style']);

const ENTITIES: Record<string, string> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  ndash: '–',
  mdash: '—',
  hellip: '…',
  deg: '°',
  plusmn: '±',
  micro: 'µ',
  middot: '·',
  bull: '•',
  le: '≤',
  ge: '≥',
  times: '×',
  frac12: '½',
  lsquo: '‘',
  rsquo: '’',
  ldquo: '“',
  rdquo: '”',
  auml: 'ä',
  ouml: 'ö',
  uuml: 'ü',
  Auml: 'Ä',
  Ouml: 'Ö',
  Uuml: 'Ü',
  szlig: 'ß',
  eacute: 'é',
  egrave: 'è',
  alpha: 'α',
  beta: 'β',
  gamma: 'γ',
  mu: 'μ',
};

/**
 * Takes markup apart, in time linear in its length, however broken it is.
 *
 * Comments, processing instructions, doctypes (so no entity of a document's own is ever expanded), scripts and
 * styles are left out. A `<` that begins no tag is text.
 */
export function* tokens(markup: string): Generator<Token> {
  let position = 0;
  while (position < markup.length) {
    const start = markup.indexOf('<', position);
    if (start < 0) {
      yield { kind: 'text', text: decodeEntities(markup.slice(position)) };
      return;
    }
    if (start > position) {
      yield { kind: 'text', text: decodeEntities(markup.slice(position, start)) };
    }
    if (markup.startsWith('<![CDATA[', start)) {
      const end = endOf(markup, ']]>', start);
      yield { kind: 'text', text: markup.slice(start + 9, end - 3) };
      position = end;
    } else if (markup.startsWith('<!--', start)) {
      position = endOf(markup, '-->', start + 4);
    } else if (markup[start + 1] === '!' || markup[start + 1] === '?') {
      position = endOfDeclaration(markup, start);
    } else {
      const end = endOfTag(markup, start);
      const tag = /^<(\/?)(?:[\w.-]+:)?([A-Za-z][\w.-]*)([^]*?)(\/?)>$/.exec(markup.slice(start, end));
      if (!tag?.[2]) {
        yield { kind: 'text', text: '<' };
        position = start + 1;
        continue;
      }
      const name = tag[2].toLowerCase();
      position = end;
      if (tag[1] === '/') {
        yield { kind: 'close', name };
      } else if (RAW.has(name)) {
        position = endOf(markup, '>', indexOfEndTag(markup, name, end));
      } else {
        yield { kind: 'open', name, attributes: tag[3] ?? '', selfClosing: tag[4] === '/' };
      }
    }
  }
}

/** The position after a mark; the end of the text when it never comes. */
function endOf(markup: string, mark: string, from: number): number {
  const found = markup.indexOf(mark, from);
  return found < 0 ? markup.length : found + mark.length;
}

/** A doctype may hold an internal subset in brackets, with declarations of its own. */
function endOfDeclaration(markup: string, start: number): number {
  const end = endOf(markup, '>', start);
  const bracket = markup.slice(start, end).indexOf('[');
  return bracket < 0 ? end : endOf(markup, '>', endOf(markup, ']', start + bracket));
}

/** A tag ends at the first `>` outside quotes, and never holds a second `<` outside them. */
function endOfTag(markup: string, start: number): number {
  let quote = '';
  for (let position = start + 1; position < markup.length; position++) {
    const character = markup[position] as string;
    if (quote) {
      quote = character === quote ? '' : quote;
    } else if (character === '>') {
      return position + 1;
    } else if (character === '<') {
      return start + 1;
    } else if ((character === '"' || character === "'") && markup[position - 1] === '=') {
      quote = character;
    } else if (position === start + 1 && !/[A-Za-z/]/.test(character)) {
      return start + 1;
    }
  }
  return start + 1;
}

function indexOfEndTag(markup: string, name: string, from: number): number {
  const search = new RegExp(`</${name}`, 'gi');
  search.lastIndex = from;
  return search.exec(markup)?.index ?? markup.length;
}

/** Character references, and the named ones that clinical text uses. Decoded once: `&amp;lt;` is `&lt;`. */
function decodeEntities(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|([A-Za-z]\w{1,31}));/gi, (whole, hex, decimal, name) => {
    if (name !== undefined) {
      return ENTITIES[name as string] ?? whole;
    }
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex as string, 16);
    const isCharacter = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    return isCharacter ? String.fromCodePoint(code) : '\ufffd';
  });
}
