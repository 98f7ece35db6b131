import type { DocumentReference } from '@medplum/fhirtypes';
import { readAttached } from './attached.ts';
import { conceptText, conceptWords, dayOf, labelled } from './datatypes.ts';
import type { RecordSources, RecordText, Skipped } from './record-text.ts';

/** A DocumentReference in words, with its attachments. */
export async function documentReferenceText(
  document: DocumentReference,
  sources: Pick<RecordSources, 'attachment'>
): Promise<RecordText> {
  const skipped: Skipped[] = [];
  const attachments = (document.content ?? [])
    .map((content) => content.attachment)
    .filter((each) => each !== undefined);
  const owner = { record: `DocumentReference/${document.id}`, patient: document.subject?.reference };
  const attached = await readAttached(attachments, owner, sources, skipped);
  return {
    date: dayOf(document.date ?? document.context?.period?.start ?? attachments[0]?.creation),
    sections: [
      {
        title: 'Document',
        contentType: 'structured',
        text: labelled([
          ['Document', conceptText(document.type)],
          ['Category', conceptWords(document.category)],
          ['Status', document.docStatus ?? document.status],
          ['Date', document.date],
          ...attached.unread,
        ]),
      },
      { title: 'Description', contentType: 'note', text: document.description ?? '' },
      ...attached.sections,
    ],
    skipped,
  };
}
