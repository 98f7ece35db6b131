import type {
  CodeableConcept,
  Condition,
  DocumentReference,
  Encounter,
  Patient,
  Procedure,
  Task,
} from '@medplum/fhirtypes';
import type { Clinic, Output } from './clinic.ts';

export const ICD = 'http://hl7.org/fhir/sid/icd-10-cm';
export const CPT = 'http://www.ama-assn.org/go/cpt';
export const HCPCS = 'https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets';
export const SNOMED = 'http://snomed.info/sct';
const VERIFICATION = 'http://terminology.hl7.org/CodeSystem/condition-ver-status';
const CLINICAL = 'http://terminology.hl7.org/CodeSystem/condition-clinical';
const ACT_CODE = 'http://terminology.hl7.org/CodeSystem/v3-ActCode';

type Stored<T> = T & { id: string };

/** One visit of one patient, for tests of billing. */
export class Visit {
  readonly #clinic: Clinic;
  readonly patient: Stored<Patient>;
  readonly encounter: Stored<Encounter>;

  private constructor(clinic: Clinic, patient: Stored<Patient>, encounter: Stored<Encounter>) {
    this.#clinic = clinic;
    this.patient = patient;
    this.encounter = encounter;
  }

  static async open(clinic: Clinic, more: Partial<Encounter> = {}, of?: Stored<Patient>): Promise<Visit> {
    const patient = of ?? (await clinic.create<Patient>({ resourceType: 'Patient', birthDate: '1970-03-02' }));
    const encounter = await clinic.create<Encounter>({
      resourceType: 'Encounter',
      status: 'finished',
      class: { system: ACT_CODE, code: 'AMB' },
      subject: { reference: `Patient/${patient.id}` },
      period: { start: '2026-03-02T09:00:00Z', end: '2026-03-02T10:00:00Z' },
      ...more,
    });
    return new Visit(clinic, patient, encounter);
  }

  get subject(): { reference: string } {
    return { reference: `Patient/${this.patient.id}` };
  }

  get reference(): { reference: string } {
    return { reference: `Encounter/${this.encounter.id}` };
  }

  async condition(
    code: string | CodeableConcept,
    verification = 'confirmed',
    more: Partial<Condition> = {}
  ): Promise<Stored<Condition>> {
    return this.#clinic.create<Condition>({
      resourceType: 'Condition',
      subject: this.subject,
      encounter: this.reference,
      code: typeof code === 'string' ? { coding: [{ system: ICD, code }] } : code,
      verificationStatus: { coding: [{ system: VERIFICATION, code: verification }] },
      ...(verification === 'entered-in-error' ? {} : { clinicalStatus: status('active') }),
      ...more,
    });
  }

  async procedure(code: string, more: Partial<Procedure> = {}, system = CPT): Promise<Stored<Procedure>> {
    return this.#clinic.create<Procedure>({
      resourceType: 'Procedure',
      status: 'completed',
      subject: this.subject,
      encounter: this.reference,
      code: { coding: [{ system, code }] },
      ...more,
    });
  }

  async note(text: string, more: Partial<DocumentReference> = {}): Promise<Stored<DocumentReference>> {
    return this.#clinic.create<DocumentReference>({
      resourceType: 'DocumentReference',
      status: 'current',
      docStatus: 'final',
      subject: this.subject,
      context: { encounter: [this.reference] },
      type: { coding: [{ system: 'http://loinc.org', code: '11506-3', display: 'Progress note' }] },
      content: [{ attachment: { contentType: 'text/plain', data: Buffer.from(text).toString('base64') } }],
      ...more,
    });
  }

  /** Changes the encounter as it stands. */
  async change(more: Partial<Encounter>): Promise<void> {
    const current = await this.#clinic.admin.readResource('Encounter', this.encounter.id, { cache: 'reload' });
    await this.#clinic.admin.updateResource<Encounter>({ ...current, ...more });
  }

  async suggest(more: object = {}): Promise<Output> {
    return this.#clinic.execute('billing-code-suggester', {
      patientId: this.patient.id,
      encounterId: this.encounter.id,
      ...more,
    });
  }

  /** The Tasks of the patient. */
  async tasks(): Promise<Task[]> {
    return this.#clinic.find<Task>('Task', `patient=Patient/${this.patient.id}`);
  }
}

/** A clinical status. */
export function status(code: string): CodeableConcept {
  return { coding: [{ system: CLINICAL, code }] };
}

/** A code that the model names. */
export function named(code: string, evidence: string, citations: string[], confidence = 0.9): object {
  return { system: 'icd-10-cm', code, evidence, citations, confidence };
}

/** The codes of a list of an answer. */
export function codesOf(list: { code: string }[]): string[] {
  return list.map(({ code }) => code);
}

/** A note that documents two diagnoses, and neither of two others. */
export const NOTE = `Follow-up visit.

Assessment and Plan
1. Essential hypertension, above goal: increase lisinopril.
2. Type 2 diabetes mellitus, stable on metformin.

Denies chest pain. Mother has asthma.`;

/** The command that a Task waits for. */
export function commandOf(task: Task): { parameters: { suggestedCodes: object[] } } {
  const input = task.input?.find(({ type }) => type.coding?.some(({ code }) => code === 'command'));
  return JSON.parse(input?.valueString ?? '{}') as { parameters: { suggestedCodes: object[] } };
}
