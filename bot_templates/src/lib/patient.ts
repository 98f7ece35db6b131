import type { Patient } from '@medplum/fhirtypes';
import { asFailure, BotFailure, type ErrorCode } from './failure.ts';
import { readCurrent } from './fhir.ts';
import type { BotRun } from './run.ts';

/**
 * Reads a patient with the rights of the run, and notes them as the one concerned.
 * @throws BotFailure PATIENT_NOT_FOUND, also when the run may not read the patient: whether they exist is not told.
 */
export async function readPatient(run: BotRun, patientId: string, otherwise: ErrorCode): Promise<Patient> {
  run.patientId = patientId;
  const found = await readCurrent<Patient>(run.medplum, 'Patient', patientId, otherwise).catch((error: unknown) => {
    const failure = asFailure(error, otherwise);
    if (failure.code === 'UNAUTHORIZED') {
      return { found: undefined };
    }
    throw failure;
  });
  if (found.found === undefined) {
    throw new BotFailure('PATIENT_NOT_FOUND', `Patient/${patientId} does not exist, or may not be read`, { patientId });
  }
  return found.found;
}

/** Whole years of age on a day; undefined where no birth date is known. */
export function ageInYears(patient: Patient, today = new Date()): number | undefined {
  const [year, month = 1, day = 1] = (patient.birthDate ?? '').split('-').map(Number);
  if (!year) {
    return undefined;
  }
  const months = (today.getUTCFullYear() - year) * 12 + (today.getUTCMonth() + 1 - month);
  return Math.floor((months - (today.getUTCDate() < day && months % 12 === 0 ? 1 : 0)) / 12);
}
