import type { Attachment } from '@medplum/fhirtypes';
import type { Owner } from '../attachments.ts';
import { listed } from './datatypes.ts';
import type { RecordSources, Section, Skipped } from './record-text.ts';

/** Attachments of one record that are looked at. */
const MOST_ATTACHMENTS = 10;

/** What a record's attachments give. */
export interface Attached {
  /** One a readable attachment. */
  sections: Section[];
  /** What is known of each of the others, as lines of the record's own section. */
  unread: (readonly ['Attachment', string | undefined])[];
}

/**
 * Reads the attachments of one record.
 *
 * A title is left out: it is often a file's name with the patient's in it.
 * @param skipped - Receives those without text.
 */
export async function readAttached(
  attachments: readonly Attachment[],
  owner: Owner,
  sources: Pick<RecordSources, 'attachment'>,
  skipped: Skipped[]
): Promise<Attached> {
  const attached: Attached = { sections: [], unread: [] };
  for (const attachment of attachments.slice(0, MOST_ATTACHMENTS)) {
    const { contentType, language, creation } = attachment;
    const { text, reason } = await sources.attachment(attachment, owner);
    if (text === undefined) {
      skipped.push({ ...(contentType === undefined ? {} : { contentType }), reason });
      attached.unread.push(['Attachment', listed([contentType, language, creation])]);
    } else {
      attached.sections.push({ title: 'Text', contentType: 'note', text });
    }
  }
  if (attachments.length > MOST_ATTACHMENTS) {
    skipped.push({
      reason: `${attachments.length - MOST_ATTACHMENTS} of ${attachments.length} attachments are too many`,
    });
  }
  return attached;
}
