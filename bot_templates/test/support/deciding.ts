import type {
  AllergyIntolerance,
  AuditEvent,
  DetectedIssue,
  Flag,
  GuidanceResponse,
  MedicationRequest,
  MedicationStatement,
  Observation,
  Patient,
} from '@medplum/fhirtypes';
import type { Clinic, Output } from './clinic.ts';

export const CDS = 'clinical-decision-support';

/** A patient of a clinic, what is written into the record, and what decision support made of it. */
export class Deciding {
  readonly #clinic: Clinic;
  patientId = '';

  constructor(clinic: Clinic) {
    this.#clinic = clinic;
  }

  async newPatient(more: Partial<Patient> = {}): Promise<string> {
    const patient: Patient = { resourceType: 'Patient', birthDate: '1960-05-01', gender: 'female', ...more };
    this.patientId = (await this.#clinic.create(patient)).id;
    return this.patientId;
  }

  get subject(): { reference: string } {
    return { reference: `Patient/${this.patientId}` };
  }

  ask(more: object = {}): Promise<Output> {
    return this.#clinic.execute(CDS, { patientId: this.patientId, ...more });
  }

  order(text: string, more: Partial<MedicationRequest> = {}) {
    const { subject } = this;
    const medication = more.medicationReference ? {} : { medicationCodeableConcept: { text } };
    return this.#clinic.create<MedicationRequest>({
      resourceType: 'MedicationRequest',
      status: 'active',
      intent: 'order',
      subject,
      ...medication,
      ...more,
    });
  }

  statement(text: string, more: Partial<MedicationStatement> = {}) {
    const { subject } = this;
    return this.#clinic.create<MedicationStatement>({
      resourceType: 'MedicationStatement',
      status: 'active',
      subject,
      medicationCodeableConcept: { text },
      ...more,
    });
  }

  allergy(text: string, more: Partial<AllergyIntolerance> = {}) {
    return this.#clinic.create<AllergyIntolerance>({
      resourceType: 'AllergyIntolerance',
      patient: this.subject,
      clinicalStatus: allergyCode('clinical', 'active'),
      code: { text },
      ...more,
    });
  }

  /** A potassium of now; the unit as UCUM code and in words. */
  potassium(value: number, unit = 'mmol/L', more: Partial<Observation> = {}) {
    return this.#clinic.create<Observation>({
      resourceType: 'Observation',
      status: 'final',
      category: [
        { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'laboratory' }] },
      ],
      code: { coding: [{ system: 'http://loinc.org', code: '2823-3', display: 'Potassium' }] },
      subject: this.subject,
      effectiveDateTime: new Date().toISOString(),
      valueQuantity: { value, unit, system: 'http://unitsofmeasure.org', code: unit },
      ...more,
    });
  }

  issues(): Promise<DetectedIssue[]> {
    return this.#clinic.find<DetectedIssue>('DetectedIssue', `patient=Patient/${this.patientId}`);
  }

  /** Those that stand. */
  async standing(): Promise<DetectedIssue[]> {
    return (await this.issues()).filter(({ status }) => status === 'final');
  }

  flags(): Promise<Flag[]> {
    return this.#clinic.find<Flag>('Flag', `patient=Patient/${this.patientId}`);
  }

  guidance(): Promise<GuidanceResponse[]> {
    return this.#clinic.find<GuidanceResponse>('GuidanceResponse', `subject=Patient/${this.patientId}`);
  }
}

export function allergyCode(kind: 'clinical' | 'verification', code: string) {
  return { coding: [{ system: `http://terminology.hl7.org/CodeSystem/allergyintolerance-${kind}`, code }] };
}

/** The guide's two subscriptions, and the runs that they start. */
export class Subscribed {
  readonly #clinic: Clinic;

  constructor(clinic: Clinic) {
    this.#clinic = clinic;
  }

  async start(): Promise<void> {
    for (const criteria of ['Encounter', 'MedicationRequest']) {
      await this.#clinic.create({
        resourceType: 'Subscription',
        status: 'active',
        reason: `CDS - ${criteria}`,
        criteria,
        channel: { type: 'rest-hook', endpoint: `Bot/${this.#clinic.botId(CDS)}` },
      });
    }
  }

  /** The server's own AuditEvents of the runs that a record started. */
  async runsOf(reference: string): Promise<AuditEvent[]> {
    const found = await this.#clinic.find<AuditEvent>('AuditEvent', `entity=${reference}`);
    return found.filter(({ type }) => type.code === 'execute');
  }

  /** How often the bot has run at all. */
  async count(): Promise<number> {
    const found = await this.#clinic.find<AuditEvent>('AuditEvent', `source=Bot/${this.#clinic.botId(CDS)}`);
    return found.filter(({ type }) => type.code === 'execute').length;
  }

  /** Waits until a record has started so many runs, and the bot has been idle for a while. */
  async settled(reference: string, runs = 1): Promise<AuditEvent[]> {
    const deadline = Date.now() + 15_000;
    let last = -1;
    for (;;) {
      const found = await this.runsOf(reference);
      const total = await this.count();
      if (found.length >= runs && total === last) {
        return found;
      }
      if (Date.now() > deadline) {
        throw new Error(`${found.length} runs of ${reference}, not ${runs}`);
      }
      last = total;
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
  }
}
