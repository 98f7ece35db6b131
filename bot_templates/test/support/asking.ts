import type { Resource } from '@medplum/fhirtypes';
import { expect } from 'vitest';
import type { Clinic, Output } from './clinic.ts';
import type { Diabetic } from './diabetic.ts';
import { type RouterCall, sourceWith } from './router.ts';

/** What a model answers that names its sources by a text in them. */
export const saying =
  (...sentences: [text: string, ...sources: string[]][]) =>
  (call: RouterCall): object => ({
    answerable: true,
    sentences: sentences.map(([text, ...sources]) => ({
      text,
      citations: sources.map((each) => sourceWith(call, each)),
    })),
  });

export const BOTH = saying(['HbA1c fell from 8.2 % on 2024-01-10 to 7.1 % on 2024-07-02.', '8.2 %']);
export const UNANSWERABLE = () => ({ answerable: false, sentences: [] });

export const ref = ({ resourceType, id }: Resource): string => `${resourceType}/${id}`;

/** Asks about a patient, and looks at what the model was shown. */
export interface Asking {
  ask(more?: object, as?: Clinic['admin']): Promise<Output>;
  /** Creates a record, or takes one that is there, and has it embedded. */
  embedded<T extends Resource>(resource: T): Promise<T & { id: string }>;
  /** The sources and the question as the model was shown them last. */
  shown(): string;
}

/** @param known - The patient of the test that runs. */
export function asking(clinic: Clinic, known: () => Diabetic): Asking {
  return {
    ask: (more = {}, as = clinic.doctor.client) =>
      clinic.execute(
        'rag-pipeline',
        { question: 'How did the HbA1c develop?', patientId: known().patient.id, ...more },
        as
      ),
    embedded: async <T extends Resource>(resource: T) => {
      const stored = resource.id === undefined ? await clinic.create(resource) : (resource as T & { id: string });
      const { resourceType, id } = stored;
      expect(await clinic.execute('embedding', { resourceType, id })).toMatchObject({ success: true });
      // Only what the bot under test asks for counts.
      clinic.router.calls.length = 0;
      return stored;
    },
    shown: () => clinic.router.chats.at(-1)?.body.messages?.[1]?.content ?? '',
  };
}
