import type { MedplumClient } from '@medplum/core';
import type { Attachment, Medication, Observation } from '@medplum/fhirtypes';
import { type AttachmentText, attachmentText, type Owner } from './attachments.ts';
import { readCurrent, searchPage } from './fhir.ts';
import type { RecordSources } from './record/record-text.ts';

/** Looks up on the server what a record refers to, with the rights of the client. */
export class ServerSources implements RecordSources {
  readonly #medplum: MedplumClient;

  constructor(medplum: MedplumClient) {
    this.#medplum = medplum;
  }

  attachment(attachment: Attachment, owner: Owner): Promise<AttachmentText> {
    return attachmentText(this.#medplum, attachment, owner);
  }

  async observations(ids: readonly string[]): Promise<Observation[]> {
    const query = `_id=${ids.join(',')}&_count=${ids.length}`;
    const page = await searchPage<Observation>(this.#medplum, 'Observation', query, 'EMBEDDING_ERROR');
    const found = new Map((page.entry ?? []).map(({ resource }) => [resource?.id, resource]));
    return ids.map((id) => found.get(id)).filter((observation) => observation !== undefined);
  }

  async medication(id: string): Promise<Medication | undefined> {
    return (await readCurrent<Medication>(this.#medplum, 'Medication', id, 'EMBEDDING_ERROR')).found;
  }
}
