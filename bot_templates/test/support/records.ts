import { randomUUID } from 'node:crypto';
import type { Condition, DocumentReference, Observation } from '@medplum/fhirtypes';

export const PATIENT = randomUUID();

export function condition(text: string, more: Partial<Condition> = {}): Condition {
  return {
    resourceType: 'Condition',
    subject: { reference: `Patient/${PATIENT}`, display: 'Eleanor Rigby' },
    code: { text },
    onsetDateTime: '2024-03-01',
    ...more,
  };
}

export function note(text: string, more: Partial<DocumentReference> = {}): DocumentReference {
  return {
    resourceType: 'DocumentReference',
    status: 'current',
    date: '2024-04-05T10:00:00Z',
    subject: { reference: `Patient/${PATIENT}` },
    content: [{ attachment: { contentType: 'text/plain', data: Buffer.from(text).toString('base64') } }],
    ...more,
  };
}

export function observation(text: string, value: number, more: Partial<Observation> = {}): Observation {
  return {
    resourceType: 'Observation',
    status: 'final',
    subject: { reference: `Patient/${PATIENT}` },
    code: { text },
    effectiveDateTime: '2024-02-03',
    valueQuantity: { value, unit: '%' },
    ...more,
  };
}
