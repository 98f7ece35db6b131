import type { MedicationRequest } from '@medplum/fhirtypes';
import { expect, test } from 'vitest';
import { factOf } from './fact.ts';

test('an order not to give a medicine says so', () => {
  const request: MedicationRequest = {
    resourceType: 'MedicationRequest',
    id: '1',
    status: 'active',
    intent: 'order',
    doNotPerform: true,
    subject: {},
    medicationCodeableConcept: { text: 'Aspirin' },
  };
  expect(factOf(request, new Map()).text).toContain('Not to be given: yes');
  expect(factOf({ ...request, doNotPerform: false }, new Map()).text).not.toContain('Not to be given');
});
