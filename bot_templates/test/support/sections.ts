import { type EmbeddedResource, recordText, type RecordSources } from '../../src/lib/record/record-text.ts';

/** The id that records of tests refer to. */
export const REFERENCED = '3f2a1b4c-0000-4000-8000-00000000abcd';

/** Sources that have nothing. */
export const nothing: RecordSources = {
  attachment: async () => ({ reason: 'not here' }),
  observations: async () => [],
  medication: async () => undefined,
};

/** The text of a record's sections, by title. */
export async function sectionsOf(
  resource: EmbeddedResource,
  sources: Partial<RecordSources> = {}
): Promise<Record<string, string>> {
  const record = await recordText(resource, { ...nothing, ...sources });
  return Object.fromEntries(record.sections.filter(({ text }) => text !== '').map(({ title, text }) => [title, text]));
}
