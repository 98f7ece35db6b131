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
/** Length of a note that is read, in UTF-16 units; no visit's note is longer, and a model would see little of it. */
const GREATEST_NOTE = 100_000;
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
  const current = documents.filter(({ status, docStatus }) => status === 'current' && docStatus !== 'entered-in-error');
  const signed = current.filter(isSigned);
  const gaps: Gap[] = [];
  const gap = (code: string, message: string, about: readonly DocumentReference[]): void =>
    void gaps.push({ code, message, references: about.map(referenceOf) });
  if (signed.length < current.length) {
    const drafts = current.filter((document) => !isSigned(document));
    gap('NOTE_NOT_SIGNED', 'A note of the encounter is not signed: it is not read', drafts);
  }
  if (signed.length === 0) {
    gaps.push({ code: 'NO_SIGNED_NOTE', message: 'The encounter has no signed note' });
  }
  const read = signed.slice(0, MOST_NOTES);
  const notes = await Promise.all(read.map((document) => noteOf(document, sources)));
  const usable = notes.filter(({ text }) => text !== '' && text.length <= GREATEST_NOTE);
  if (usable.length < notes.length) {
    const unread = read.filter((_document, index) => !usable.includes(notes[index] as Note));
    gap('NOTE_WITHOUT_TEXT', 'A note of the encounter cannot be read as text, or is too long', unread);
  }
  return { notes: usable, gaps, warnings: signed.length > MOST_NOTES ? ['CONTEXT_LIMITED'] : [] };
}

async function noteOf(document: DocumentReference, sources: Pick<RecordSources, 'attachment'>): Promise<Note> {
  const { sections, date } = await documentReferenceText(document, sources);
  const texts = sections.filter(({ title }) => title === 'Text').map(({ text }) => text);
  return { reference: referenceOf(document), date, title: titleOf(document), text: cleanText(texts.join('\n\n')) };
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
