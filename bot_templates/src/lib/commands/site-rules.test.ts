import type { MedicationRequest } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { secrets } from '../../../test/support/events.ts';
import { Secrets } from '../secrets.ts';
import { readSafetyPolicy } from './safety-policy.ts';
import { suggestMedicationChange } from './suggest-medication-change.ts';

const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';

const read = (decisionSupport: object) =>
  readSafetyPolicy(
    new Secrets(secrets({ SAFETY_POLICY: JSON.stringify({ decisionSupport: { id: 'x', ...decisionSupport } }) }))
  );

/** Who must approve a change to a drug beside warfarin. */
function reasonsFor(code: string, display: string, policy = read({})): string[] {
  const warfarin: MedicationRequest = {
    resourceType: 'MedicationRequest',
    id: 'w',
    status: 'active',
    intent: 'order',
    subject: {},
    medicationCodeableConcept: { text: 'Warfarin' },
  };
  const parameters = {
    action: 'change' as const,
    medication: { system: RXNORM, code, display },
    rationale: 'x',
    dosage: undefined,
    currentMedicationId: undefined,
    status: undefined,
    intent: undefined,
  };
  const chart = {
    medicationRequests: [warfarin],
    medicationStatements: [],
    medications: new Map(),
    unreadable: [],
    incomplete: [],
  };
  return suggestMedicationChange.rule(
    { name: 'SuggestMedicationChange', patientId: 'p', encounterId: undefined, parameters },
    { patient: { resourceType: 'Patient' }, encounter: undefined, records: new Map(), more: chart },
    policy
  ).reasons;
}

describe("a site's rules of interaction", () => {
  test('an interaction that the site adds makes approval dual', () => {
    const rule = {
      id: 'house',
      one: ['warfarin'],
      other: ['metformin'],
      severity: 'high',
      mechanism: 'x',
      management: 'x',
    };
    expect(reasonsFor('6809', 'Metformin')).toEqual(['ALWAYS']);
    expect(reasonsFor('6809', 'Metformin', read({ interactions: { add: [rule] } }))).toEqual(['MAJOR_INTERACTION']);
  });

  test('one that it switches off still does', () => {
    expect(reasonsFor('1191', 'Aspirin', read({ interactions: { off: ['warfarin-aspirin'] } }))).toContain(
      'MAJOR_INTERACTION'
    );
  });

  test('a part that is not understood is told by its field', () => {
    expect(() => read({ interactions: { of: [] } })).toThrow(/interactions\.of/);
  });
});
