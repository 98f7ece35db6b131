import type { Encounter } from '@medplum/fhirtypes';
import { BotFailure } from '../failure.ts';
import { readCurrent } from '../fhir.ts';
import { Fields } from '../fields.ts';
import { referencedId } from '../ids.ts';
import type { BotInput } from '../input.ts';
import { readPatient } from '../patient.ts';
import type { BotRun } from '../run.ts';

/** What is asked for. */
export interface BillingRequest {
  encounterId: string;
  /** Undefined where a subscription names the encounter alone. */
  patientId: string | undefined;
  minConfidence: number;
}

/** Below it a suggestion is a guess, and its command would be blocked. */
const MIN_CONFIDENCE = 0.5;

/** @throws BotFailure INVALID_INPUT */
export function readRequest(input: BotInput): BillingRequest {
  if (input.kind !== 'command') {
    const { resourceType, id } = input.resource;
    const encounterId = referencedId(`${resourceType}/${id}`, 'Encounter');
    if (encounterId === undefined) {
      throw new BotFailure('INVALID_INPUT', 'The resource must be an Encounter');
    }
    return { encounterId, patientId: undefined, minConfidence: MIN_CONFIDENCE };
  }
  const fields = new Fields(input.fields);
  const request = {
    patientId: fields.present('patientId', fields.id('patientId', 'Patient')),
    encounterId: fields.present('encounterId', fields.id('encounterId', 'Encounter')),
    minConfidence: fields.number('minConfidence', 0, 1) ?? MIN_CONFIDENCE,
  };
  fields.done();
  return request;
}

/** An encounter that may be coded, or why a subscription's is passed over. */
export type Readable = { encounter: Encounter & { id: string }; patientId: string } | { skipped: string };

/** Statuses of an encounter in which something has happened. */
const BEGUN = ['arrived', 'triaged', 'in-progress', 'onleave', 'finished'];

/**
 * Reads the encounter and its patient again: what the caller or the event says of them is a claim.
 * @throws BotFailure INVALID_INPUT, PATIENT_NOT_FOUND, UNAUTHORIZED, DB_ERROR, TIMEOUT
 */
export async function readEncounter(run: BotRun, request: BillingRequest): Promise<Readable> {
  const { encounterId, patientId: claimed } = request;
  run.resource = `Encounter/${encounterId}`;
  const [{ found: encounter }] = await Promise.all([
    readCurrent<Encounter>(run.medplum, 'Encounter', encounterId, 'DB_ERROR'),
    claimed === undefined ? undefined : readPatient(run, claimed, 'DB_ERROR'),
  ]);
  const patientId = referencedId(encounter?.subject?.reference, 'Patient');
  if (claimed === undefined) {
    // An event may be late: what it tells may be over.
    if (encounter?.status !== 'finished' || patientId === undefined) {
      return { skipped: encounter === undefined ? 'deleted' : patientId === undefined ? 'no patient' : 'not finished' };
    }
    await readPatient(run, patientId, 'DB_ERROR');
  } else if (encounter === undefined || patientId !== claimed) {
    // Which of the two it is would tell of other patients.
    throw new BotFailure('INVALID_INPUT', `Encounter/${encounterId} is no encounter of Patient/${claimed}`, {
      field: 'encounterId',
    });
  } else if (!BEGUN.includes(encounter.status)) {
    throw new BotFailure('INVALID_INPUT', `Encounter/${encounterId} is ${encounter.status}: nothing is to be coded`, {
      field: 'encounterId',
    });
  }
  return { encounter: { ...encounter, id: encounterId }, patientId };
}
