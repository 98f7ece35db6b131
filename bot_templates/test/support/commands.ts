import type { AuditEvent, Condition, Encounter, Observation, Patient, Task } from '@medplum/fhirtypes';
import type { MedplumClient } from '@medplum/core';
import type { Clinic, Output } from './clinic.ts';

type Stored<T> = T & { id: string; meta: { versionId: string } };

export const INTERPRETATION = 'http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation';
export const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';
export const ICD = 'http://hl7.org/fhir/sid/icd-10-cm';
export const CPT = 'http://www.ama-assn.org/go/cpt';
export const SNOMED = 'http://snomed.info/sct';

/** An adult patient, and commands about them. */
export class Case {
  readonly clinic: Clinic;
  readonly patient: Stored<Patient>;
  readonly encounter: Stored<Encounter>;

  private constructor(clinic: Clinic, patient: Stored<Patient>, encounter: Stored<Encounter>) {
    this.clinic = clinic;
    this.patient = patient;
    this.encounter = encounter;
  }

  static async open(clinic: Clinic, birthDate: string | undefined = '1950-01-01'): Promise<Case> {
    const patient = await clinic.create<Patient>({
      resourceType: 'Patient',
      ...(birthDate === '' ? {} : { birthDate }),
    });
    const encounter = await clinic.create<Encounter>({
      resourceType: 'Encounter',
      status: 'finished',
      class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
      subject: { reference: `Patient/${patient.id}` },
    });
    return new Case(clinic, patient, encounter);
  }

  get subject(): { reference: string } {
    return { reference: `Patient/${this.patient.id}` };
  }

  /** A final potassium; without more it is critical by the table of limits. */
  potassium(value = 6.8, more: Partial<Observation> = {}): Promise<Stored<Observation>> {
    return this.clinic.create<Observation>({
      resourceType: 'Observation',
      status: 'final',
      subject: this.subject,
      effectiveDateTime: '2026-03-01T08:00:00Z',
      code: { coding: [{ system: 'http://loinc.org', code: '2823-3', display: 'Potassium' }] },
      valueQuantity: { value, unit: 'mmol/L', system: 'http://unitsofmeasure.org', code: 'mmol/L' },
      ...more,
    });
  }

  /** Hands a command in, by default as the doctor. */
  submit(command: string, parameters: object, more: object = {}, as?: MedplumClient): Promise<Output> {
    const input = { command, patientId: this.patient.id, confidence: 0.9, parameters, ...more };
    return this.clinic.execute('command-processor', input, as);
  }

  flag(observationId: string, severity = 'critical', code = 'HH', more: object = {}): Promise<Output> {
    const interpretation = { system: INTERPRETATION, code };
    return this.submit('FlagAbnormalResult', { observationId, severity, interpretation }, more);
  }

  note(content = 'The patient feels well.', more: object = {}, as?: MedplumClient): Promise<Output> {
    const parameters = { noteType: 'progress', content };
    return this.submit('CreateEncounterNoteDraft', parameters, { encounterId: this.encounter.id, ...more }, as);
  }

  medication(parameters: object = {}, more: object = {}, as?: MedplumClient): Promise<Output> {
    const medication = { system: RXNORM, code: '6809', display: 'metformin' };
    return this.submit('SuggestMedicationChange', { action: 'start', medication, rationale: 'HbA1c 8.2', ...parameters }, more, as);
  }

  referral(more: object = {}, as?: MedplumClient): Promise<Output> {
    const parameters = { specialty: 'Cardiology', urgency: 'urgent', reason: 'New murmur', summary: 'Please see her.' };
    return this.submit('QueueReferralLetter', { ...parameters, ...more }, { encounterId: this.encounter.id }, as);
  }

  billing(more: object = {}, as?: MedplumClient): Promise<Output> {
    const suggestedCodes = [
      { system: ICD, code: 'I10', display: 'Essential hypertension', confidence: 0.9, isPrimary: true },
      { system: CPT, code: '99213', confidence: 0.7, modifiers: ['25'], diagnoses: ['I10'] },
    ];
    return this.submit('SuggestBillingCodes', { suggestedCodes, ...more }, { encounterId: this.encounter.id }, as);
  }

  problem(parameters: object, more: object = {}, as?: MedplumClient): Promise<Output> {
    return this.submit('ProposeProblemListUpdate', parameters, more, as);
  }

  /** A problem of the patient's list. */
  condition(): Promise<Stored<Condition>> {
    return this.clinic.create<Condition>({
      resourceType: 'Condition',
      clinicalStatus: {
        coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'active' }],
      },
      code: { coding: [{ system: ICD, code: 'J45.909', display: 'Asthma' }] },
      subject: this.subject,
    });
  }

  /** Decides about a Task, by default as somebody else than who handed it in. */
  decide(taskId: unknown, decision: string, as: MedplumClient, more: object = {}): Promise<Output> {
    return this.clinic.execute('approval-queue', { taskId: taskId as string, decision, ...more }, as);
  }

  /** One record of each further type that a command may cite. */
  async recordsOfEveryType(): Promise<{ resourceType: string; id: string }[]> {
    const { subject } = this;
    return Promise.all([
      this.clinic.create({
        resourceType: 'AllergyIntolerance',
        clinicalStatus: {
          coding: [{ system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical', code: 'active' }],
        },
        patient: subject,
      }),
      this.clinic.create({ resourceType: 'Condition', subject }),
      this.clinic.create({ resourceType: 'DetectedIssue', status: 'final', patient: subject }),
      this.clinic.create({ resourceType: 'DiagnosticReport', status: 'final', code: { text: 'x' }, subject }),
      this.clinic.create({ resourceType: 'DocumentReference', status: 'current', content: [{ attachment: { title: 'x' } }], subject }),
      this.clinic.create({ resourceType: 'GuidanceResponse', status: 'success', moduleUri: 'urn:x', subject }),
      this.clinic.create({
        resourceType: 'Immunization',
        status: 'completed',
        vaccineCode: { text: 'x' },
        occurrenceDateTime: '2024-01-01',
        patient: subject,
      }),
      this.clinic.create({ resourceType: 'Procedure', status: 'completed', subject }),
      this.clinic.create({ resourceType: 'ServiceRequest', status: 'active', intent: 'order', subject }),
    ]);
  }

  /** Every Task about the patient. */
  tasks(): Promise<Task[]> {
    return this.clinic.find<Task>('Task', `patient=Patient/${this.patient.id}`);
  }

  async task(id: string): Promise<Task> {
    return (await this.clinic.admin.readResource('Task', id, { cache: 'reload' })) as Task;
  }

  /** Our own audit events about the patient, oldest first. */
  trail(type: string): Promise<AuditEvent[]> {
    return this.clinic.audits(type, `&patient=Patient/${this.patient.id}`);
  }

  /** The values of a Task's input or output by the code of their type. */
  static values(parts: Task['input'] | Task['output'], code: string): unknown[] {
    return (parts ?? [])
      .filter(({ type }) => type?.coding?.some((coding) => coding.code === code))
      .map(({ type: _, id: __, extension: ___, ...value }) => Object.values(value)[0]);
  }

  /** Clinical records of the patient other than those that a test made: types and numbers. */
  async written(): Promise<Record<string, number>> {
    const types = ['Flag', 'DocumentReference', 'Condition', 'Claim', 'ServiceRequest', 'MedicationRequest', 'Task'] as const;
    const found = await Promise.all(types.map((type) => this.clinic.find(type, `patient=Patient/${this.patient.id}`)));
    const counts = types.map((type, index) => [type, found[index]?.length ?? 0] as const);
    return Object.fromEntries(counts.filter(([, count]) => count > 0));
  }
}
