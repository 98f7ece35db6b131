import { flowText } from './html-text.ts';
import { type Token, tokens } from './markup.ts';

/** Whether XML is a CDA document. */
export function isClinicalDocument(xml: string): boolean {
  return /<(?:[\w.-]+:)?ClinicalDocument[\s>]/.test(xml.slice(0, 10_000));
}

/**
 * The narrative of a C-CDA document: of each section its title, as a heading, and its text.
 *
 * The header, which names the patient, and the coded entries are left out.
 */
export function clinicalDocumentToText(xml: string): string {
  const passages: string[] = [];
  /** Names of the open elements, outermost first. */
  const path: string[] = [];
  let capture: { name: 'title' | 'text'; depth: number; run: Token[] } | undefined;
  for (const token of tokens(xml)) {
    if (token.kind === 'open' && !token.selfClosing) {
      const parent = path.at(-1);
      path.push(token.name);
      if (!capture && parent === 'section' && (token.name === 'title' || token.name === 'text')) {
        capture = { name: token.name, depth: path.length, run: [] };
        continue;
      }
    } else if (token.kind === 'close') {
      const opened = path.lastIndexOf(token.name);
      if (capture && opened >= 0 && opened < capture.depth) {
        passages.push(passage(capture.name, capture.run));
        capture = undefined;
      }
      path.length = opened >= 0 ? opened : path.length;
    }
    capture?.run.push(token);
  }
  if (capture) {
    passages.push(passage(capture.name, capture.run));
  }
  return passages.filter((each) => each !== '').join('\n\n');
}

function passage(name: 'title' | 'text', run: readonly Token[]): string {
  const text = flowText(run);
  return name === 'title' && text !== '' ? `## ${text.replaceAll('\n', ' ')}` : text;
}
