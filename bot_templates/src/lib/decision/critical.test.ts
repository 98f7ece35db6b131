import type { Observation, Quantity } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { assessObservation } from './critical.ts';
import { shippedRules } from './rules.ts';

const UCUM = 'http://unitsofmeasure.org';
const { critical } = shippedRules();

function result(
  loinc: string,
  valueQuantity: Partial<Quantity> | undefined,
  more: Partial<Observation> = {}
): Observation {
  return {
    resourceType: 'Observation',
    id: 'o',
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code: loinc }] },
    effectiveDateTime: '2026-11-26T08:00:00Z',
    ...(valueQuantity ? { valueQuantity: valueQuantity as Quantity } : {}),
    ...more,
  };
}

const potassium = (
  value: number,
  unit: Partial<Quantity> = { unit: 'mmol/L', system: UCUM, code: 'mmol/L' },
  more = {}
) => result('2823-3', { value, ...unit }, more);
const assess = (observation: Observation, age: number | undefined = 50) =>
  assessObservation(observation, age, critical);

describe('a limit', () => {
  test.each([
    ['K 6.8', potassium(6.8), 'HH'],
    ['K 6.5, the limit itself', potassium(6.5), 'HH'],
    ['K 2.5, the limit itself', potassium(2.5), 'LL'],
    ['K in mEq/L, which is the same', potassium(6.8, { unit: 'mEq/L' }), 'HH'],
    ['K with a UCUM code alone', potassium(6.8, { system: UCUM, code: 'meq/L' }), 'HH'],
    ['code mmol/L, words mEq/L', potassium(6.8, { system: UCUM, code: 'mmol/L', unit: 'mEq/L' }), 'HH'],
    ['glucose 500 mg/dL', result('2345-7', { value: 500, unit: 'mg/dL' }), 'HH'],
    ['glucose 30 mg/dL', result('2345-7', { value: 30, unit: 'mg/dL' }), 'LL'],
    ['glucose 2.1 mmol/L', result('15074-8', { value: 2.1, unit: 'mmol/l' }), 'LL'],
    ['haemoglobin 65 g/L', result('718-7', { value: 65, system: UCUM, code: 'g/L' }), 'LL'],
    ['platelets 12 10^3/µL', result('777-3', { value: 12, unit: '10^3/µL' }), 'LL'],
    ['platelets 12000 /uL', result('777-3', { value: 12_000, system: UCUM, code: '/uL' }), 'LL'],
    ['INR 7 without a unit', result('6301-6', { value: 7 }), 'HH'],
    ['INR 7 {INR}', result('6301-6', { value: 7, system: UCUM, code: '{INR}' }), 'HH'],
    ['pH 7.05', result('2744-1', { value: 7.05, system: UCUM, code: '[pH]' }), 'LL'],
    ['pCO2 10.5 kPa', result('2019-8', { value: 10.5, unit: 'kPa' }), 'HH'],
    ['heart rate 150 {beats}/min', result('8867-4', { value: 150, system: UCUM, code: '{beats}/min' }), 'HH'],
    ['heart rate 30 bpm', result('8867-4', { value: 30, unit: 'bpm' }), 'LL'],
    ['temperature 107 °F', result('8310-5', { value: 107, unit: '°F' }), 'HH'],
    ['SpO2 80 %', result('59408-5', { value: 80, system: UCUM, code: '%' }), 'LL'],
    ['K > 7.0', potassium(7, { unit: 'mmol/L', comparator: '>' }), 'HH'],
    ['platelets < 10', result('777-3', { value: 10, unit: '10*9/L', comparator: '<' }), 'LL'],
    ['a preliminary one', potassium(6.8, undefined, { status: 'preliminary' }), 'HH'],
    ['a corrected one', potassium(6.8, undefined, { status: 'corrected' }), 'HH'],
  ])('%s is critical', (_name, observation, interpretation) => {
    expect(assess(observation)).toMatchObject({
      critical: [{ interpretation, basis: 'limit', preliminary: observation.status === 'preliminary' }],
      unitMismatches: [],
      notAssessed: [],
    });
  });

  test.each([
    ['K 4.2', potassium(4.2)],
    ['K 6.4', potassium(6.4)],
    ['glucose 120 mg/dL', result('2345-7', { value: 120, unit: 'mg/dL' })],
    ['temperature 98.6 °F', result('8310-5', { value: 98.6, unit: 'degF' })],
    ['lactate < 0.5', result('2524-7', { value: 0.5, unit: 'mmol/L', comparator: '<' })],
    ['a code without a rule', result('2885-2', { value: 99, unit: 'g/dL' })],
    ['no value at all', result('2823-3', undefined)],
    ['a registered one', potassium(6.8, undefined, { status: 'registered' })],
    ['one in error', potassium(6.8, undefined, { status: 'entered-in-error' })],
    ['a cancelled one', potassium(6.8, undefined, { status: 'cancelled' })],
  ])('%s is not critical, and nothing is to be told', (_name, observation) => {
    expect(assess(observation)).toMatchObject({ critical: [], unitMismatches: [], notAssessed: [] });
  });
});

describe('what cannot be compared', () => {
  test.each([
    ['K 6.8 mg/dL', potassium(6.8, { unit: 'mg/dL' }), 'UNIT_MISMATCH'],
    ['K 6.8 mg/dL by code', potassium(6.8, { system: UCUM, code: 'mg/dL' }), 'UNIT_MISMATCH'],
    ['a UCUM code in the wrong case', potassium(6.8, { system: UCUM, code: 'MMOL/L' }), 'UNIT_MISMATCH'],
    ['a unit of another system', potassium(6.8, { system: 'urn:other', code: 'mmol/L' }), 'UNIT_MISMATCH'],
    ['a unit that nobody knows', potassium(6.8, { unit: 'spoons' }), 'UNIT_MISMATCH'],
    ['K without a unit', potassium(6.8, {}), 'UNIT_MISSING'],
    [
      'code and words that differ',
      potassium(6.8, { system: UCUM, code: 'mmol/L', unit: 'mg/dL' }),
      'UNIT_CONTRADICTORY',
    ],
    [
      'words that the code of another system contradicts',
      potassium(6.8, { system: 'urn:other', code: 'mg/dL', unit: 'mmol/L' }),
      'UNIT_CONTRADICTORY',
    ],
    ['haemoglobin in mmol/L', result('718-7', { value: 4, unit: 'mmol/L' }), 'UNIT_MISMATCH'],
  ])('%s is a mismatch of units', (_name, observation, reason) => {
    expect(assess(observation)).toMatchObject({ critical: [], unitMismatches: [{ reason }], notAssessed: [] });
  });

  test.each([
    ['a text', result('2823-3', undefined, { valueString: '6.8' }), 'NO_NUMBER'],
    ['a quantity without a value', result('2823-3', { unit: 'mmol/L' }), 'NO_NUMBER'],
    ['K 68', potassium(68), 'IMPLAUSIBLE'],
    ['K 0', potassium(0), 'IMPLAUSIBLE'],
    ['a negative heart rate', result('8867-4', { value: -70, unit: '/min' }), 'IMPLAUSIBLE'],
    ['K > 6.0, which may be anything above', potassium(6, { unit: 'mmol/L', comparator: '>' }), 'COMPARATOR'],
    ['K < 6.8, which may be anything below', potassium(6.8, { unit: 'mmol/L', comparator: '<' }), 'COMPARATOR'],
    ['haemoglobin > 5', result('718-7', { value: 5, unit: 'g/dL', comparator: '>' }), 'COMPARATOR'],
  ])('%s is told, and is not critical', (_name, observation, reason) => {
    expect(assess(observation)).toMatchObject({ critical: [], unitMismatches: [], notAssessed: [{ reason }] });
  });

  test("a child's heart rate is not held against an adult's limits; its potassium is", () => {
    const rate = result('8867-4', { value: 150, unit: '/min' });
    expect(assess(rate, 0)).toMatchObject({ critical: [], notAssessed: [{ reason: 'NO_RULE_FOR_AGE' }] });
    expect(assess(potassium(6.8), 7).critical).toHaveLength(1);
    expect(assessObservation(rate, undefined, critical).critical).toHaveLength(1);
  });

  test('what artificial intelligence asserted is not critical', () => {
    const security = [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'AIAST' }];
    expect(assess({ ...potassium(6.8), meta: { security } })).toMatchObject({
      critical: [],
      notAssessed: [{ reason: 'AI_LABELLED' }],
    });
  });
});

describe("the laboratory's interpretation", () => {
  const coded = (code: string) => [
    { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation', code }] },
  ];

  test('HH without an entry in the table is critical', () => {
    const unknown = result('99999-9', { value: 1, unit: 'x' }, { interpretation: coded('HH') });
    expect(assess(unknown).critical).toMatchObject([{ interpretation: 'HH', basis: 'interpretation' }]);
  });

  test('HH with a unit mismatch is critical by the laboratory, and the mismatch is told', () => {
    expect(assess(potassium(6.8, { unit: 'mg/dL' }, { interpretation: coded('HH') }))).toMatchObject({
      critical: [{ basis: 'interpretation' }],
      unitMismatches: [{ reason: 'UNIT_MISMATCH' }],
    });
  });

  test.each(['H', 'L', 'A', 'N'])('%s alone is not critical', (code) => {
    expect(assess(potassium(5.4, undefined, { interpretation: coded(code) })).critical).toEqual([]);
  });

  test('HH of another system is not the code', () => {
    const interpretation = [{ coding: [{ system: 'urn:local', code: 'HH' }] }];
    expect(assess(potassium(5.4, undefined, { interpretation })).critical).toEqual([]);
  });
});

test('the components of a blood pressure are read', () => {
  const component = (code: string, value: number) => ({
    code: { coding: [{ system: 'http://loinc.org', code }] },
    valueQuantity: { value, unit: 'mmHg' },
  });
  const panel = result('85354-9', undefined, { component: [component('8480-6', 240), component('8462-4', 130)] });
  expect(assess(panel).critical).toMatchObject([
    { rule: 'systolic', loinc: '8480-6', interpretation: 'HH', observation: 'Observation/o' },
    { rule: 'diastolic', loinc: '8462-4', interpretation: 'HH', observation: 'Observation/o' },
  ]);
});
