import { type Token, tokens } from './markup.ts';

/** Elements before and after which a line ends; headings and paragraphs stand apart. */
const BLOCKS = new Set(
  'address article blockquote br content dd div dl dt figure footer header hr item li list main ol paragraph pre section table tbody tfoot thead tr ul'.split(' ')
);
const PARAGRAPHS = new Set('p paragraph table list ul ol section article caption'.split(' '));
const CELLS = new Set(['td', 'th']);
/** Elements that hold nothing to read. */
const HIDDEN = new Set(['head', 'template', 'noscript', 'svg', 'object', 'iframe']);
const HEADING = /^h([1-6])$/;

/** The readable text of an HTML document: headings as `# …`, list items as `- …`, table cells set apart by ` | `. */
export function htmlToText(html: string): string {
  return flowText(tokens(html));
}

/** The readable text of a run of HTML tokens, or of a C-CDA section's narrative. */
export function flowText(run: Iterable<Token>): string {
  let text = '';
  let hiddenIn: string | undefined;
  for (const token of run) {
    if (hiddenIn !== undefined) {
      // `body` ends a head that was never closed.
      const over = token.kind !== 'text' && (token.name === hiddenIn ? token.kind === 'close' : token.name === 'body');
      hiddenIn = over ? undefined : hiddenIn;
    } else if (token.kind === 'text') {
      text += token.text.replace(/\s+/g, ' ');
    } else if (token.kind === 'open' && HIDDEN.has(token.name) && !token.selfClosing) {
      hiddenIn = token.name;
    } else {
      text += spacing(token);
    }
  }
  return tidy(text);
}

function spacing(token: Exclude<Token, { kind: 'text' }>): string {
  const level = HEADING.exec(token.name)?.[1];
  if (level) {
    return token.kind === 'open' ? `\n\n${'#'.repeat(Number(level))} ` : '\n\n';
  }
  if (token.kind === 'open' && (token.name === 'li' || token.name === 'item')) {
    return '\n- ';
  }
  if (CELLS.has(token.name)) {
    return token.kind === 'close' ? ' | ' : '';
  }
  if (PARAGRAPHS.has(token.name)) {
    return '\n\n';
  }
  return BLOCKS.has(token.name) ? '\n' : '';
}

/** A line without the marks of empty cells at its end. (A regular expression would take quadratic time.) */
function withoutEmptyCells(line: string): string {
  let end = line.length;
  while (end > 0 && (line[end - 1] === ' ' || line[end - 1] === '|')) {
    end -= 1;
  }
  return line.slice(0, end).trimStart();
}

function tidy(text: string): string {
  return text
    .replace(/[^\S\n]+/g, ' ')
    .split('\n')
    .map(withoutEmptyCells)
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}
