import type { Observation } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { observation } from '../../../test/support/records.ts';
import { nothing, sectionsOf } from '../../../test/support/sections.ts';
import { recordText } from './record-text.ts';

describe('an Observation', () => {
  test('tells everything measured', async () => {
    const full: Observation = {
      resourceType: 'Observation',
      status: 'final',
      category: [{ coding: [{ code: 'laboratory', display: 'Laboratory' }] }],
      code: { coding: [{ system: 'http://loinc.org', code: '4548-4', display: 'Hemoglobin A1c' }] },
      effectiveDateTime: '2024-02-03T08:00:00Z',
      valueQuantity: { value: 8.2, unit: '%', comparator: '>=' },
      interpretation: [{ coding: [{ code: 'H', display: 'High' }] }],
      referenceRange: [
        { low: { value: 4, unit: '%' }, high: { value: 5.6, unit: '%' } },
        { text: 'below 7 in diabetes' },
      ],
      bodySite: { text: 'Left arm' },
      note: [{ text: 'Haemolysed.' }, { text: 'Repeat.' }],
    };
    expect(await recordText(full, nothing)).toMatchObject({ date: '2024-02-03', skipped: [] });
    expect(await sectionsOf(full)).toEqual({
      Result: [
        'Observation: Hemoglobin A1c (LOINC 4548-4)',
        'Value: >= 8.2 %',
        'Interpretation: High',
        'Reference range: 4 % to 5.6 %, below 7 in diabetes',
        'Category: Laboratory',
        'Body site: Left arm',
        'Status: final',
        'Date: 2024-02-03T08:00:00Z',
      ].join('\n'),
      Note: 'Haemolysed.\n\nRepeat.',
    });
  });

  test('tells its components with all of theirs', async () => {
    const pressure = observation('Blood pressure', 0, {
      component: [
        {
          code: { text: 'Systolic' },
          valueQuantity: { value: 120, unit: 'mmHg' },
          interpretation: [{ text: 'Normal' }],
        },
        { code: { text: 'Diastolic' }, dataAbsentReason: { text: 'Not performed' } },
      ],
    });
    delete pressure.valueQuantity;
    const { Result } = await sectionsOf(pressure);
    expect(Result).toContain('Systolic: 120 mmHg, Interpretation Normal\nDiastolic: No value because Not performed');
  });

  test.each([
    [{ valueCodeableConcept: { text: 'Positive' } }, 'Positive'],
    [{ valueString: 'growth of E. coli' }, 'growth of E. coli'],
    [{ valueBoolean: false }, 'no'],
    [{ valueBoolean: true }, 'yes'],
    [{ valueInteger: 0 }, '0'],
    [{ valueQuantity: { value: 0, code: 'mg' } }, '0 mg'],
    [{ valueRange: { low: { value: 1 } } }, 'at least 1'],
    [{ valueRange: { high: { value: 2 } } }, 'at most 2'],
    [{ valueRatio: { numerator: { value: 1 }, denominator: { value: 128 } } }, '1 per 128'],
    [{ valueTime: '08:30:00' }, '08:30:00'],
    [{ valueDateTime: '2024-01' }, '2024-01'],
    [{ valuePeriod: { end: '2024-01-02' } }, 'until 2024-01-02'],
    [
      { valueSampledData: { origin: { value: 0 }, period: 10, dimensions: 1, data: '1 2 3' } },
      'series of samples, one each 10 ms',
    ],
  ] as [Partial<Observation>, string][])('tells the value of %j', async (value, words) => {
    const { Result } = await sectionsOf({
      resourceType: 'Observation',
      status: 'final',
      code: { text: 'X' },
      ...value,
    });
    expect(Result).toContain(`Value: ${words}\n`);
  });

  test('without anything but its status bears it', async () => {
    expect(await sectionsOf({ resourceType: 'Observation', status: 'final' } as Observation)).toEqual({
      Result: 'Status: final',
    });
  });
});
