import type { Clinic, Output } from './clinic.ts';
import type { Visit } from './visit.ts';

/** What a model answers that adds no sentence to a document. */
export const NOTHING = { subjective: [], assessment: [], plan: [] };

/** Asks for a draft of a document about a visit, by default a progress note. */
export function draftOf(clinic: Clinic, { patient, encounter }: Visit, more: object): Promise<Output> {
  return clinic.execute('documentation-assistant', {
    patientId: patient.id,
    encounterId: encounter.id,
    documentationType: 'progress',
    ...more,
  });
}
