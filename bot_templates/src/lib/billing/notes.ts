import type { DocumentReference } from '@medplum/fhirtypes';
import { cleanText } from '../chunking.ts';
import { isAiLabelled } from '../commands/label.ts';
import { documentReferenceText } from '../record/document-reference.ts';
import { conceptWords } from '../record/datatypes.ts';
import type { RecordSources } from '../record/record-text.ts';
import type { Passage } from './evidence.ts';
import { headingOf } from './headings.ts';
import type { Gap } from './suggestion.ts';

/** A signed note of the encounter. */
export interface Note {
  /** `DocumentReference/id` */
  reference: string;
  date: string | undefined;
  title: string;
  text: string;
}

/** Notes that are read. */
const MOST_NOTES = 10;
/** Length of a passage that a model sees as one source, in UTF-16 units. */
const PASSAGE = 4_000;

/**
 * Reads the encounter's notes that somebody has signed: current, and neither a draft nor a model's text that nobody
 * has taken over. Codes rest on signed documentation.
 */
export async function signedNotes(
  documents: readonly DocumentReference[],
  sources: Pick<RecordSources, 'attachment'>
): Promise<{ notes: Note[]; gaps: Gap[]; warnings: string[] }> {
  const current = documents.filter(({ status }) => status === 'current');
  const signed = current.filter(isSigned);
  const notes: Note[] = [];
  const gaps: Gap[] = [];
  const drafts = current.filter((document) => !isSigned(document)).map(referenceOf);
  if (drafts.length > 0) {
    gaps.push({
      code: 'NOTE_NOT_SIGNED',
      message: 'A note of the encounter is not signed: it is not read',
      references: drafts,
    });
  }
  for (const document of signed.slice(0, MOST_NOTES)) {
    const { sections, date } = await documentReferenceText(document, sources);
    const text = cleanText(
      sections
        .filter((section) => section.title === 'Text')
        .map((section) => section.text)
        .join('\n\n')
    );
    if (text === '') {
      gaps.push({
        code: 'NOTE_WITHOUT_TEXT',
        message: 'A note of the encounter cannot be read as text',
        references: [referenceOf(document)],
      });
    } else {
      notes.push({ reference: referenceOf(document), date, title: titleOf(document), text });
    }
  }
  if (signed.length === 0) {
    gaps.push({ code: 'NO_SIGNED_NOTE', message: 'The encounter has no signed note' });
  }
  return { notes, gaps, warnings: signed.length > MOST_NOTES ? ['CONTEXT_LIMITED'] : [] };
}

/** Many systems leave docStatus out; a model's text without one is nobody's yet. */
function isSigned(document: DocumentReference): boolean {
  const { docStatus } = document;
  return docStatus === undefined ? !isAiLabelled(document) : docStatus === 'final' || docStatus === 'amended';
}

function referenceOf(document: DocumentReference): string {
  return `DocumentReference/${document.id}`;
}

function titleOf(document: DocumentReference): string {
  return conceptWords(document.type && [document.type]) ?? 'Note';
}

/** Cuts a note into passages, at blank lines or headings where it can, each with the heading that it begins under. */
export function passagesOf(text: string): Passage[] {
  const passages: Passage[] = [];
  let heading = '';
  let lines: string[] = [];
  let length = 0;
  const flush = (count: number): void => {
    const taken = lines.splice(0, count);
    passages.push({ text: taken.join('\n'), heading });
    heading = taken.reduce((current, line) => headingOf(line) ?? current, heading);
    length = lines.reduce((sum, line) => sum + line.length + 1, 0);
  };
  for (const line of text.split('\n')) {
    if (length + line.length > PASSAGE && lines.length > 0) {
      const blank = lines.findLastIndex(
        (each, index) => index > 0 && (each.trim() === '' || headingOf(each) !== undefined)
      );
      flush(blank > 0 ? blank : lines.length);
    }
    lines.push(line);
    length += line.length + 1;
  }
  flush(lines.length);
  return passages.filter((passage) => passage.text.trim() !== '');
}
