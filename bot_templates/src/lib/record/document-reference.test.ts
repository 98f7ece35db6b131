import type { Attachment, DocumentReference } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { note } from '../../../test/support/records.ts';
import { nothing, sectionsOf } from '../../../test/support/sections.ts';
import { recordText } from './record-text.ts';

describe('a DocumentReference', () => {
  test('tells type, date, description and the text of its attachments', async () => {
    const resource: DocumentReference = {
      ...note(''),
      type: { text: 'Discharge summary' },
      docStatus: 'final',
      description: 'After pneumonia',
      content: [
        { attachment: { contentType: 'text/plain' } },
        { attachment: { contentType: 'image/png', creation: '2024' } },
      ],
    };
    const attachment = async ({ contentType }: Attachment) =>
      contentType === 'text/plain' ? { text: 'Recovered.' } : { reason: 'an image' };
    expect((await recordText(resource, { ...nothing, attachment })).skipped).toEqual([
      { contentType: 'image/png', reason: 'an image' },
    ]);
    expect(await sectionsOf(resource, { attachment })).toEqual({
      Document: 'Document: Discharge summary\nStatus: final\nDate: 2024-04-05T10:00:00Z\nAttachment: image/png, 2024',
      Description: 'After pneumonia',
      Text: 'Recovered.',
    });
  });

  test('tells whose its attachments are', async () => {
    const resource = note('', { content: [{ attachment: { contentType: 'text/plain' } }] });
    const owners: unknown[] = [];
    await recordText(resource, {
      ...nothing,
      attachment: async (_attachment, owner) => {
        owners.push(owner);
        return { text: 'x' };
      },
    });
    expect(owners).toEqual([
      { record: `DocumentReference/${resource.id}`, patient: resource.subject?.reference },
    ]);
    expect(resource.subject?.reference).toMatch(/^Patient\//);
  });

  test('looks at ten attachments', async () => {
    const content = Array.from({ length: 12 }, () => ({ attachment: { contentType: 'text/plain' } }));
    const record = await recordText(note('', { content }), { ...nothing, attachment: async () => ({ text: 'x' }) });
    expect(record.skipped).toEqual([{ reason: '2 of 12 attachments are too many' }]);
  });

  test('without content bears it', async () => {
    const empty = { resourceType: 'DocumentReference', status: 'current' } as DocumentReference;
    expect(await sectionsOf(empty)).toEqual({ Document: 'Status: current' });
  });
});
