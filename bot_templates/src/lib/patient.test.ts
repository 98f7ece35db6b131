import type { MedplumClient } from '@medplum/core';
import type { Patient } from '@medplum/fhirtypes';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestFhirServer } from '../../test/support/fhir-server.ts';
import { ageInYears, readPatient } from './patient.ts';
import type { BotRun } from './run.ts';

const server = new TestFhirServer();
beforeAll(() => server.start());
afterAll(() => server.stop());

const NOBODY = '00000000-0000-4000-8000-000000000000';

function runOf(medplum: MedplumClient): BotRun {
  return { medplum } as unknown as BotRun;
}

test('a patient who may be read is read, and is the one concerned', async () => {
  const patient = server.put({ resourceType: 'Patient', birthDate: '1960-01-01' });
  const run = runOf(server.client());
  expect(await readPatient(run, patient.id, 'DB_ERROR')).toEqual(patient);
  expect(run.patientId).toBe(patient.id);
});

test('one who is unknown, hidden, of a forbidden type or deleted is told from nobody', async () => {
  const patient = server.put({ resourceType: 'Patient' });
  const deleted = server.put({ resourceType: 'Patient' });
  server.remove(deleted);
  server.rights.set('hidden', { mayRead: () => false });
  server.rights.set('forbidden', { forbidden: ['Patient'] });
  for (const [token, id] of [
    ['bot', NOBODY],
    ['hidden', patient.id],
    ['forbidden', patient.id],
    ['bot', deleted.id],
  ] as const) {
    await expect(readPatient(runOf(server.client(token)), id, 'DB_ERROR')).rejects.toMatchObject({
      code: 'PATIENT_NOT_FOUND',
      message: `Patient/${id} does not exist, or may not be read`,
      details: { patientId: id },
    });
  }
});

test('a server that does not tell is no answer', async () => {
  const medplum = { readResource: () => Promise.reject(new Error('down')) } as unknown as MedplumClient;
  await expect(readPatient(runOf(medplum), NOBODY, 'DB_ERROR')).rejects.toMatchObject({ code: 'DB_ERROR' });
});

test.each([
  ['1960-03-02', 65],
  ['1960-03-01', 66],
  ['1960-04', 65],
  ['1960', 66],
  [undefined, undefined],
])('who was born on %s is %s years old on the first of March 2026', (birthDate, age) => {
  const patient: Patient = { resourceType: 'Patient', ...(birthDate === undefined ? {} : { birthDate }) };
  expect(ageInYears(patient, new Date('2026-03-01T00:00:00Z'))).toBe(age);
});
