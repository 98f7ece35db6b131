import type { MedicationStatement } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { nothing, REFERENCED, sectionsOf } from '../../../test/support/sections.ts';
import { recordText } from './record-text.ts';

describe('a MedicationStatement', () => {
  const base: MedicationStatement = {
    resourceType: 'MedicationStatement',
    status: 'active',
    subject: { reference: `Patient/${REFERENCED}` },
  };

  test('tells dosage, reason and period', async () => {
    const resource: MedicationStatement = {
      ...base,
      medicationCodeableConcept: {
        text: 'Metformin',
        coding: [{ system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '6809' }],
      },
      dosage: [
        {
          text: 'with meals',
          timing: { repeat: { frequency: 2, period: 1, periodUnit: 'd' } },
          route: { text: 'oral' },
          doseAndRate: [{ doseQuantity: { value: 500, unit: 'mg' } }],
        },
      ],
      reasonCode: [{ text: 'Diabetes' }],
      effectivePeriod: { start: '2023-01-02' },
      statusReason: [{ text: 'Tolerated' }],
      note: [{ text: 'No nausea.' }],
    };
    expect(await recordText(resource, nothing)).toMatchObject({ date: '2023-01-02', skipped: [] });
    expect(await sectionsOf(resource)).toEqual({
      Medication: [
        'Medication: Metformin (RxNorm 6809)',
        'Status: active',
        'Status reason: Tolerated',
        'Dosage: with meals; 500 mg, oral, 2 time(s) per 1 d',
        'Reason: Diabetes',
        'Taken: since 2023-01-02',
      ].join('\n'),
      Note: 'No nausea.',
    });
  });

  test('finds a contained medication, and a referenced one', async () => {
    const contained: MedicationStatement = {
      ...base,
      contained: [{ resourceType: 'Medication', id: 'm', code: { text: 'Warfarin' }, form: { text: 'tablet' } }],
      medicationReference: { reference: '#m' },
    };
    expect((await sectionsOf(contained)).Medication).toContain('Medication: Warfarin, tablet');
    const referenced = { ...base, medicationReference: { reference: `Medication/${REFERENCED}` } };
    const medication = async (id: string) => ({ resourceType: 'Medication' as const, code: { text: `Drug of ${id}` } });
    expect((await sectionsOf(referenced, { medication })).Medication).toContain(`Medication: Drug of ${REFERENCED}`);
  });

  test.each([
    ['that is gone', { reference: `Medication/${REFERENCED}` }],
    ['that is not contained', { reference: '#m' }],
    ['on another server', { reference: 'https://evil.example/Medication/1' }],
  ])('says so when it cannot name a medication %s', async (_name, medicationReference) => {
    const record = await recordText({ ...base, medicationReference }, nothing);
    expect(record.skipped).toEqual([
      { reason: 'the medication is named by no code, and its Medication could not be read' },
    ]);
  });
});
