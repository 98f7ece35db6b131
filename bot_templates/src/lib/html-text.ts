import { type Token, tokens } from './markup.ts';

/** Elements that begin and end on a line of their own. */
const BLOCKS = new Set(
  'address blockquote br content dd div dl dt figure footer header hr item li main pre tbody tfoot thead'.split(' ')
);
/** Elements with a blank line before and after. */
const PARAGRAPHS = new Set('article caption list ol p paragraph section ul'.split(' '));
const CELLS = new Set(['td', 'th']);
/** Elements that hold nothing to read. */
const HIDDEN = new Set(['head', 'template', 'noscript', 'svg', 'object', 'iframe']);
/** Elements that have no end. */
const VOID = new Set('area base br col embed hr img input link meta source track wbr'.split(' '));
/** Attributes by which a browser shows nothing of an element: what no reader sees must not be read for them. */
const UNSHOWN =
  /(?:^|\s)hidden(?=[\s=/]|$)|(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|(?:font-size|opacity|max-height)\s*:\s*0(?![.\d]*[1-9]))/i;
const HEADING = /^h([1-6])$/;

/** The readable text of an HTML document: headings as `# …`, list items as `- …`, table cells set apart by ` | `. */
export function htmlToText(html: string): string {
  return flowText(tokens(html));
}

/** The readable text of a run of HTML tokens, or of a C-CDA section's narrative. */
export function flowText(run: Iterable<Token>): string {
  const flow = new TextFlow();
  let hiddenIn: string | undefined;
  /** Elements of that name within it. */
  let depth = 0;
  for (const token of run) {
    if (hiddenIn !== undefined) {
      if (token.kind !== 'text' && token.name === hiddenIn) {
        depth += token.kind === 'close' ? -1 : 1;
      }
      // `body` ends a head that was never closed.
      const over = depth < 0 || (HIDDEN.has(hiddenIn) && token.kind !== 'text' && token.name === 'body');
      hiddenIn = over ? undefined : hiddenIn;
    } else if (token.kind === 'text') {
      flow.write(token.text);
    } else if (isUnseen(token)) {
      hiddenIn = token.name;
      depth = 0;
    } else {
      flow.tag(token);
    }
  }
  return flow.text();
}

/** Whether a token opens an element of which a reader sees nothing. */
function isUnseen(token: Token): token is Extract<Token, { kind: 'open' }> {
  return (
    token.kind === 'open' &&
    !token.selfClosing &&
    !VOID.has(token.name) &&
    (HIDDEN.has(token.name) || UNSHOWN.test(token.attributes))
  );
}

/** Text as it flows out of markup: breaks are owed until something follows them. */
class TextFlow {
  readonly #parts: string[] = [];
  /** Line ends owed before the next words. */
  #breaks = 0;
  /** What the next words begin with: the mark of a heading or of a list item. */
  #mark = '';
  /** Whether a table's cell is open, in which everything stays on one line. */
  #inCell = false;
  /** Whether the row has a cell already. */
  #rowBegun = false;

  write(text: string): void {
    const collapsed = text.replace(/\s+/g, ' ');
    if (collapsed === ' ' || collapsed === '') {
      if (this.#breaks === 0) {
        this.#parts.push(collapsed);
      }
      return;
    }
    this.#parts.push('\n'.repeat(this.#breaks), this.#mark, collapsed);
    this.#breaks = 0;
    this.#mark = '';
  }

  tag(token: Exclude<Token, { kind: 'text' }>): void {
    const opens = token.kind === 'open';
    const level = HEADING.exec(token.name)?.[1];
    if (CELLS.has(token.name)) {
      // End tags of cells may be left out: two values must never run together.
      if (opens && this.#rowBegun) {
        this.write(' | ');
      }
      this.#inCell = opens;
      this.#rowBegun = true;
    } else if (level !== undefined) {
      this.#break(2);
      this.#mark = opens ? `${'#'.repeat(Number(level))} ` : '';
    } else if (token.name === 'tr' || token.name === 'table') {
      this.#inCell = false;
      this.#rowBegun = false;
      this.#break(token.name === 'table' ? 2 : 1);
    } else if (PARAGRAPHS.has(token.name)) {
      this.#break(2);
    } else if (BLOCKS.has(token.name)) {
      this.#break(1);
      this.#mark = opens && (token.name === 'li' || token.name === 'item') ? '- ' : this.#mark;
    }
  }

  text(): string {
    return this.#parts
      .join('')
      .replace(/[^\S\n]+/g, ' ')
      .split('\n')
      .map(withoutEmptyCells)
      .join('\n')
      .replace(/\n{3,}/g, '\n\n')
      .trim();
  }

  #break(lines: number): void {
    if (this.#inCell) {
      this.#parts.push(' ');
    } else {
      this.#breaks = Math.max(this.#breaks, lines);
    }
  }
}

/** A line without the marks of empty cells at its end. (A regular expression would take quadratic time.) */
function withoutEmptyCells(line: string): string {
  let end = line.length;
  while (end > 0 && (line[end - 1] === ' ' || line[end - 1] === '|')) {
    end -= 1;
  }
  return line.slice(0, end).trimStart();
}
