import type { Source } from '../model/sources.ts';
import { listed } from '../record/datatypes.ts';
import { CLINICIAN } from './context.ts';
import { type Line, lineText, oneLine } from './line.ts';
import { escapeMarkdown, escapeMarkdownLine } from './markdown.ts';
import { type Note, PLACEHOLDER, type Words } from './note.ts';
import type { Part } from './objective.ts';
import type { Format } from './request.ts';

/** A document as text. */
export interface LaidOut {
  content: string;
  /** The same texts as in the content, without their headings. */
  sections: { subjective: string; objective: string; assessment: string; plan: string };
}

/** How each element is written in a format. */
interface Style {
  title(text: string): string;
  section(text: string): string;
  part(text: string): string;
  line(line: Line): string;
  /** A list item of words that are the record's or a model's, with marks of the bot's own after it. */
  item(text: string, marks: string): string;
}

const MARKDOWN: Style = {
  title: (text) => `# ${text}`,
  section: (text) => `## ${text}`,
  part: (text) => `### ${text}`,
  line: ({ name, says }) => `- **${escapeMarkdown(name)}**${says === '' ? '' : `: ${escapeMarkdown(says)}`}`,
  item: (text, marks) => listed([`- ${escapeMarkdownLine(oneLine(text))}`, escapeMarkdown(marks)], ' ') as string,
};

const TEXT: Style = {
  title: (text) => text.toUpperCase(),
  section: (text) => `${text.toUpperCase()}\n${'-'.repeat(text.length)}`,
  part: (text) => `${text}:`,
  line: (line) => `- ${lineText(line)}`,
  item: (text, marks) => listed([`- ${oneLine(text)}`, marks], ' ') as string,
};

const PROVENANCE =
  'Sentences followed by a number in brackets were written by a language model from the sources at the end. ' +
  'Everything else is in the words of the clinician or of the record.';

/**
 * Lays a document out.
 *
 * The clinician's words are put in as they are, in paragraphs of their own. Words of the record and of a model are
 * kept to one line each, and in Markdown escaped: nothing of theirs can be a heading, a link or HTML. There is no time
 * and no random key in it: the same document is the same text.
 */
export function layOut(note: Note, format: Format): LaidOut {
  const style = format === 'markdown' ? MARKDOWN : TEXT;
  const cited = new CitedSources();
  const sections = {
    subjective: words(style, note.subjective, cited),
    objective: objective(style, note),
    assessment: words(style, note.assessment, cited),
    plan: words(style, note.plan, cited),
  };
  const blocks = [
    style.title(note.title),
    note.encounter
      .split('\n')
      .map((line) => style.item(line, ''))
      .join('\n'),
    ...(note.referral ? referral(style, note.referral) : []),
    ...Object.entries(sections).flatMap(([name, text]) => [style.section(capitalised(name)), text]),
    ...(cited.all.length > 0 ? [style.section('Sources'), PROVENANCE, cited.list(style)] : []),
  ];
  return { content: `${blocks.join('\n\n')}\n`, sections };
}

function capitalised(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function referral(style: Style, { specialty, urgency, reason }: NonNullable<Note['referral']>): string[] {
  const request = style.item(`${specialty}, ${urgency}`, '');
  return [style.section('Referral'), request, ...(reason === undefined ? [] : [reason])];
}

function words(style: Style, { clinician, sentences }: Words, cited: CitedSources): string {
  const written = sentences.map(({ text, sources }) => style.item(text, cited.marks(sources)));
  const blocks = [...(clinician === undefined ? [] : [clinician]), ...(written.length > 0 ? [written.join('\n')] : [])];
  return blocks.length > 0 ? blocks.join('\n\n') : PLACEHOLDER;
}

function objective(style: Style, { objective: { parts, exam } }: Note): string {
  return [
    ...parts.map((part) => list(style, part)),
    style.part('Physical examination'),
    exam ?? PLACEHOLDER,
  ].join('\n\n');
}

function list(style: Style, { title, lines, remarks }: Part): string {
  const items = [...lines.map(style.line), ...remarks.map((remark) => style.item(remark, ''))];
  return [style.part(title), items.join('\n')].join('\n\n');
}

/** The sources of a model's sentences, numbered in the order of their first citation. */
class CitedSources {
  readonly #numbers = new Map<string, { number: number; source: Source }>();

  get all(): { number: number; source: Source }[] {
    return [...this.#numbers.values()];
  }

  /** Such as `[1, 3]`. */
  marks(sources: readonly Source[]): string {
    const numbers = new Set(
      sources.map((source) => {
        const key = source.reference === CLINICIAN ? `${CLINICIAN} ${source.title}` : source.reference;
        const known = this.#numbers.get(key) ?? { number: this.#numbers.size + 1, source };
        this.#numbers.set(key, known);
        return known.number;
      })
    );
    return `[${[...numbers].join(', ')}]`;
  }

  list(style: Style): string {
    return this.all
      .map(({ number, source: { reference, title, date } }) => {
        const what = reference === CLINICIAN ? title : `${title}, ${date ?? 'undated'}, ${reference}`;
        return style.item(`[${number}] ${what}`, '');
      })
      .join('\n');
  }
}
