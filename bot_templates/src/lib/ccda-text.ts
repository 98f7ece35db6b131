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
  const path = new OpenElements();
  let capture: { name: 'title' | 'text'; depth: number; run: Token[] } | undefined;
  for (const token of tokens(xml)) {
    if (token.kind === 'open' && !token.selfClosing) {
      const parent = path.innermost;
      path.open(token.name);
      if (!capture && parent === 'section' && (token.name === 'title' || token.name === 'text')) {
        capture = { name: token.name, depth: path.depth, run: [] };
        continue;
      }
    } else if (token.kind === 'close') {
      path.close(token.name);
      if (capture && path.depth < capture.depth) {
        passages.push(passage(capture.name, capture.run));
        capture = undefined;
      }
    }
    capture?.run.push(token);
  }
  if (capture) {
    passages.push(passage(capture.name, capture.run));
  }
  return passages.filter((each) => each !== '').join('\n\n');
}

/** The elements that are open, outermost first. */
class OpenElements {
  readonly #names: string[] = [];
  /** How often each name is open, so that an end tag without a start tag costs no search. */
  readonly #counts = new Map<string, number>();

  get innermost(): string | undefined {
    return this.#names.at(-1);
  }

  get depth(): number {
    return this.#names.length;
  }

  open(name: string): void {
    this.#names.push(name);
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  /** Closes the innermost element of a name, and with it what was left open inside. */
  close(name: string): void {
    if (!this.#counts.get(name)) {
      return;
    }
    let closed: string | undefined;
    do {
      closed = this.#names.pop() as string;
      this.#counts.set(closed, (this.#counts.get(closed) ?? 1) - 1);
    } while (closed !== name);
  }
}

function passage(name: 'title' | 'text', run: readonly Token[]): string {
  const text = flowText(run);
  return name === 'title' && text !== '' ? `## ${text.replaceAll('\n', ' ')}` : text;
}
