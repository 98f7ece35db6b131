import type { Bundle, Encounter, Reference, Resource } from '@medplum/fhirtypes';
import { BotFailure } from '../failure.ts';
import { fhirRequest } from '../fhir.ts';
import { referencedId } from '../ids.ts';
import { readPatient } from '../patient.ts';
import type { BotRun } from '../run.ts';
import type { Command, Facts } from './kind.ts';
import { kindOf } from './kinds.ts';

/** The element by which a record of each type belongs to a patient. */
const OWNER: Readonly<Record<string, 'subject' | 'patient'>> = {
  AllergyIntolerance: 'patient',
  Condition: 'subject',
  DetectedIssue: 'patient',
  DiagnosticReport: 'subject',
  DocumentReference: 'subject',
  Encounter: 'subject',
  GuidanceResponse: 'subject',
  Immunization: 'patient',
  MedicationRequest: 'subject',
  MedicationStatement: 'subject',
  Observation: 'subject',
  Procedure: 'subject',
  ServiceRequest: 'subject',
};

/**
 * Reads what a command names, and makes sure that all of it is the patient's.
 * @param command - undefined where the name is not known: then only the ids of the envelope are looked at.
 * @throws BotFailure PATIENT_NOT_FOUND; INVALID_INPUT for an id that does not exist or is another patient's, which is
 * not told apart.
 */
export async function readFacts(
  run: BotRun,
  ids: { patientId: string; encounterId: string | undefined; sources: readonly string[] },
  command: Command | undefined
): Promise<Facts> {
  const patient = await readPatient(run, ids.patientId, 'DB_ERROR');
  const kind = command && kindOf(command.name);
  const encounter = ids.encounterId === undefined ? undefined : `Encounter/${ids.encounterId}`;
  const references = [
    ...(encounter === undefined ? [] : [encounter]),
    ...(kind?.references(command?.parameters) ?? []),
    ...ids.sources,
  ];
  const records = await readRecords(run, [...new Set(references)], ids.patientId);
  const found = records.get(encounter ?? '') as Encounter | undefined;
  if (found?.status === 'entered-in-error') {
    throw new BotFailure('INVALID_INPUT', 'The Encounter is entered in error', { field: 'encounterId' });
  }
  const facts: Facts = { patient, encounter: found, records, more: undefined };
  return command && kind?.gather ? { ...facts, more: await kind.gather(run, command) } : facts;
}

async function readRecords(
  run: BotRun,
  references: readonly string[],
  patientId: string
): Promise<ReadonlyMap<string, Resource>> {
  const strange = references.find((each) => !Object.hasOwn(OWNER, each.split('/')[0] as string) && each !== `Patient/${patientId}`);
  if (strange !== undefined) {
    throw notThePatients();
  }
  const wanted = references.filter((each) => !each.startsWith('Patient/'));
  if (wanted.length === 0) {
    return new Map();
  }
  const batch: Bundle = {
    resourceType: 'Bundle',
    type: 'batch',
    entry: wanted.map((url) => ({ request: { method: 'GET', url } })),
  };
  const answer = await fhirRequest('Reading what the command names', 'DB_ERROR', (signal) =>
    run.medplum.executeBatch(batch, { signal })
  );
  return new Map(wanted.map((reference, index) => [reference, own(answer.entry?.[index], reference, patientId)]));
}

function own(
  entry: NonNullable<Bundle['entry']>[number] | undefined,
  reference: string,
  patientId: string
): Resource {
  const resource = entry?.resource;
  const status = entry?.response?.status ?? 'no answer';
  if (status !== '200' && status !== '404' && status !== '410') {
    throw new BotFailure('DB_ERROR', `Reading ${reference.split('/')[0]} failed: ${status}`);
  }
  const owner = OWNER[resource?.resourceType ?? ''];
  const subject = owner && ((resource as unknown as Record<string, Reference | undefined>)[owner]?.reference);
  if (!resource || `${resource.resourceType}/${resource.id}` !== reference || referencedId(subject, 'Patient') !== patientId) {
    throw notThePatients();
  }
  return resource;
}

/** One message for what does not exist, may not be read and is another patient's. */
function notThePatients(): BotFailure {
  return new BotFailure('INVALID_INPUT', 'An id that the command or its sources name is no record of the patient');
}
