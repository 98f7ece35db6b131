import type {
  AllergyIntolerance,
  Condition,
  DocumentReference,
  Encounter,
  MedicationRequest,
  Observation,
  Patient,
  Resource,
} from '@medplum/fhirtypes';
import type { Clinic } from './clinic.ts';

type Stored<T extends Resource> = T & { id: string };

/** A patient with one visit, and what is recorded of it. */
export interface Visit {
  patient: Stored<Patient>;
  encounter: Stored<Encounter>;
  diabetes: Stored<Condition>;
  metformin: Stored<MedicationRequest>;
  penicillin: Stored<AllergyIntolerance>;
  pressure: Stored<Observation>;
  a1c: Stored<Observation>;
  nurseNote: Stored<DocumentReference>;
}

const LOINC = 'http://loinc.org';
const TERMS = 'http://terminology.hl7.org/CodeSystem/';
const OBSERVATION_CATEGORY = `${TERMS}observation-category`;

export const NURSE_NOTE = 'Patient reports increased thirst for two weeks. Denies chest pain.';

/** A patient with a visit: diabetes, metformin, penicillin allergy, blood pressure, HbA1c and a nurse's note. */
export async function visit(clinic: Pick<Clinic, 'create'>): Promise<Visit> {
  const patient = await clinic.create<Patient>({ resourceType: 'Patient', gender: 'female', birthDate: '1961-02-03' });
  const subject = { reference: `Patient/${patient.id}` };
  const encounter = await clinic.create<Encounter>({
    resourceType: 'Encounter',
    status: 'finished',
    class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB', display: 'ambulatory' },
    subject,
    period: { start: '2024-05-01T08:00:00Z', end: '2024-05-01T08:30:00Z' },
    reasonCode: [{ text: 'Diabetes follow-up' }],
  });
  const reference = { reference: `Encounter/${encounter.id}` };
  const [diabetes, metformin, penicillin, pressure, a1c, nurseNote] = await Promise.all([
    clinic.create<Condition>({
      resourceType: 'Condition',
      subject,
      code: { text: 'Type 2 diabetes mellitus' },
      clinicalStatus: { coding: [{ system: `${TERMS}condition-clinical`, code: 'active' }] },
      onsetDateTime: '2019-03-01',
    }),
    clinic.create<MedicationRequest>({
      resourceType: 'MedicationRequest',
      status: 'active',
      intent: 'order',
      subject,
      medicationCodeableConcept: {
        text: 'Metformin 500 mg',
        coding: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '861007' }],
      },
      dosageInstruction: [{ text: 'one tablet twice daily' }],
      authoredOn: '2024-01-02',
    }),
    clinic.create<AllergyIntolerance>({
      ...allergy(patient.id, 'Penicillin'),
      criticality: 'high',
      reaction: [{ manifestation: [{ text: 'Hives' }] }],
      recordedDate: '2015-06-01',
    }),
    clinic.create<Observation>({
      resourceType: 'Observation',
      status: 'final',
      category: [{ coding: [{ system: OBSERVATION_CATEGORY, code: 'vital-signs' }] }],
      subject,
      encounter: reference,
      code: { text: 'Blood pressure', coding: [{ system: LOINC, code: '85354-9' }] },
      component: [
        { code: { text: 'Systolic' }, valueQuantity: { value: 148, unit: 'mmHg' } },
        { code: { text: 'Diastolic' }, valueQuantity: { value: 92, unit: 'mmHg' } },
      ],
      effectiveDateTime: '2024-05-01T08:05:00Z',
    }),
    clinic.create<Observation>({
      ...labResult(patient.id, 'Hemoglobin A1c', '4548-4', { value: 8.2, unit: '%' }),
      encounter: reference,
      interpretation: [{ coding: [{ code: 'H', display: 'High' }] }],
    }),
    clinic.create<DocumentReference>({
      resourceType: 'DocumentReference',
      status: 'current',
      subject,
      date: '2024-05-01T08:10:00Z',
      type: { text: 'Nurse note' },
      context: { encounter: [reference] },
      content: [{ attachment: { contentType: 'text/plain', data: Buffer.from(NURSE_NOTE).toString('base64') } }],
    }),
  ]);
  return { patient, encounter, diabetes, metformin, penicillin, pressure, a1c, nurseNote };
}

/** A laboratory result outside any encounter. */
export function labResult(
  patientId: string,
  text: string,
  code: string,
  valueQuantity: Observation['valueQuantity'],
  effectiveDateTime = '2024-05-01T08:06:00Z'
): Observation {
  return {
    resourceType: 'Observation',
    status: 'final',
    category: [{ coding: [{ system: OBSERVATION_CATEGORY, code: 'laboratory' }] }],
    subject: { reference: `Patient/${patientId}` },
    code: { text, coding: [{ system: LOINC, code }] },
    ...(valueQuantity ? { valueQuantity } : {}),
    effectiveDateTime,
  };
}

export function allergy(patientId: string, text: string): AllergyIntolerance {
  return {
    resourceType: 'AllergyIntolerance',
    patient: { reference: `Patient/${patientId}` },
    code: { text },
    clinicalStatus: { coding: [{ system: `${TERMS}allergyintolerance-clinical`, code: 'active' }] },
  };
}
