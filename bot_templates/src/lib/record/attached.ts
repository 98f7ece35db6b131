import type { Attachment } from '@medplum/fhirtypes';
import { labelled } from './datatypes.ts';
import type { RecordSources, Section, Skipped } from './record-text.ts';

/** Attachments of one record that are looked at. */
const MOST_ATTACHMENTS = 10;

/**
 * One section an attachment: its text, or what is known of it.
 *
 * A title is left out: it is often a file's name with the patient's in it.
 * @param skipped - Receives those without text.
 */
export async function attachedSections(
  attachments: readonly Attachment[],
  sources: Pick<RecordSources, 'attachment'>,
  skipped: Skipped[]
): Promise<Section[]> {
  const sections: Section[] = [];
  for (const attachment of attachments.slice(0, MOST_ATTACHMENTS)) {
    const result = await sources.attachment(attachment);
    if (result.text === undefined) {
      skipped.push({
        ...(attachment.contentType === undefined ? {} : { contentType: attachment.contentType }),
        reason: result.reason,
      });
      sections.push({
        title: 'Attachment',
        contentType: 'structured',
        text: labelled([
          ['Attachment', attachment.contentType],
          ['Language', attachment.language],
          ['Created', attachment.creation],
        ]),
      });
    } else {
      sections.push({ title: 'Text', contentType: 'note', text: result.text });
    }
  }
  if (attachments.length > MOST_ATTACHMENTS) {
    skipped.push({ reason: `${attachments.length - MOST_ATTACHMENTS} of ${attachments.length} attachments are too many` });
  }
  return sections;
}
