import type {
  AllergyIntolerance,
  Condition,
  DocumentReference,
  MedicationRequest,
  Observation,
  Patient,
  Resource,
} from '@medplum/fhirtypes';
import type { Clinic } from './clinic.ts';

type Stored<T extends Resource> = T & { id: string };

const LOINC = 'http://loinc.org';
const CLINICAL = 'http://terminology.hl7.org/CodeSystem/condition-clinical';
const CATEGORY = 'http://terminology.hl7.org/CodeSystem/observation-category';

export const NOTE = 'Feet inspected, no ulcer. Reports numbness of both feet since March.';

/** A patient with diabetes, whose HbA1c was 8.2 % and then 7.1 %. */
export interface Diabetic {
  patient: Stored<Patient>;
  january: Stored<Observation>;
  july: Stored<Observation>;
  potassium: Stored<Observation>;
  diabetes: Stored<Condition>;
  metformin: Stored<MedicationRequest>;
  penicillin: Stored<AllergyIntolerance>;
  note: Stored<DocumentReference>;
}

export async function diabetic(clinic: Pick<Clinic, 'create'>): Promise<Diabetic> {
  const patient = await clinic.create<Patient>({ resourceType: 'Patient', gender: 'female', birthDate: '1961-02-03' });
  const subject = { reference: `Patient/${patient.id}` };
  const [january, july, potassium, diabetes, metformin, penicillin, note] = await Promise.all([
    clinic.create(a1c(patient.id, 8.2, '2024-01-10')),
    clinic.create(a1c(patient.id, 7.1, '2024-07-02')),
    clinic.create(result(patient.id, '2823-3', 'Potassium', 4.1, 'mmol/L', '2024-07-02')),
    clinic.create<Condition>({
      resourceType: 'Condition',
      subject,
      code: { text: 'Type 2 diabetes mellitus' },
      clinicalStatus: { coding: [{ system: CLINICAL, code: 'active' }] },
      onsetDateTime: '2019-03-01',
    }),
    clinic.create<MedicationRequest>({
      resourceType: 'MedicationRequest',
      status: 'active',
      intent: 'order',
      subject,
      authoredOn: '2024-01-12',
      medicationCodeableConcept: { text: 'Metformin 500 mg' },
      dosageInstruction: [{ text: 'one tablet twice daily' }],
    }),
    clinic.create<AllergyIntolerance>({
      resourceType: 'AllergyIntolerance',
      patient: subject,
      code: { text: 'Penicillin' },
      clinicalStatus: {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical', code: 'active' }],
      },
      criticality: 'high',
      reaction: [{ manifestation: [{ text: 'Hives' }] }],
    }),
    clinic.create(noteOf(patient.id, NOTE)),
  ]);
  return { patient, january, july, potassium, diabetes, metformin, penicillin, note };
}

export function result(
  patientId: string,
  code: string,
  display: string,
  value: number,
  unit: string,
  date: string,
  more: Partial<Observation> = {}
): Observation {
  return {
    resourceType: 'Observation',
    status: 'final',
    subject: { reference: `Patient/${patientId}` },
    category: [{ coding: [{ system: CATEGORY, code: 'laboratory' }] }],
    code: { coding: [{ system: LOINC, code, display }] },
    effectiveDateTime: date,
    valueQuantity: { value, unit },
    ...more,
  };
}

export function a1c(patientId: string, value: number, date: string, more: Partial<Observation> = {}): Observation {
  return result(patientId, '4548-4', 'Hemoglobin A1c', value, '%', date, more);
}

export function noteOf(patientId: string, text: string, date = '2024-07-02T09:00:00Z'): DocumentReference {
  return {
    resourceType: 'DocumentReference',
    status: 'current',
    type: { text: 'Progress note' },
    subject: { reference: `Patient/${patientId}` },
    date,
    content: [{ attachment: { contentType: 'text/plain', data: Buffer.from(text).toString('base64') } }],
  };
}
