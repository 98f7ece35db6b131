import type { CodeableConcept, Observation } from '@medplum/fhirtypes';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Abnormality, INTERPRETATION_SYSTEM, INTERPRETATIONS, isBorneOut, positionOf } from './verified.ts';

const NO_TABLE = (): undefined => undefined;
const UNIT = { unit: 'mmol/L', system: 'http://unitsofmeasure.org', code: 'mmol/L' };
const HIGH: Abnormality = { level: 'abnormal', direction: 'high' };
const CRITICAL: Abnormality = { level: 'critical', direction: 'high' };

function result(more: Partial<Observation>): Observation {
  return { resourceType: 'Observation', status: 'final', code: { text: 'x' }, ...more };
}

function coded(...codes: string[]): CodeableConcept[] {
  return [{ coding: codes.map((code) => ({ system: INTERPRETATION_SYSTEM, code })) }];
}

const range = (low?: number, high?: number): NonNullable<Observation['referenceRange']>[number] => ({
  ...(low === undefined ? {} : { low: { value: low, ...UNIT } }),
  ...(high === undefined ? {} : { high: { value: high, ...UNIT } }),
});

describe('where a value lies by its own range', () => {
  test.each([
    [5, undefined, [1, 4], 'high'],
    [0.5, undefined, [1, 4], 'low'],
    [4, undefined, [1, 4], 'within'],
    [1, undefined, [1, 4], 'within'],
    [5, undefined, [undefined, 4], 'high'],
    [5, '>', [1, 5], 'high'],
    [5, '>', [1, 6], undefined],
    [5, '>=', [1, 5], undefined],
    [1, '<', [1, 5], 'low'],
    [2, '<', [1, 5], undefined],
    [0.5, '<=', [1, 5], 'low'],
    [0, '<', [undefined, 5], undefined],
  ] as const)('%d %s of %j is %s', (value, comparator, [low, high], expected) => {
    const quantity = { value, ...UNIT, ...(comparator ? { comparator } : {}) };
    expect(positionOf({ valueQuantity: quantity, referenceRange: [range(low, high)] })).toBe(expected);
  });

  test.each([
    ['another unit', [{ high: { value: 4, unit: 'mg/dL', system: UNIT.system, code: 'mg/dL' } }]],
    ['a range without a unit', [{ high: { value: 4 } }]],
    ['a range for some people', [{ ...range(1, 4), appliesTo: [{ text: 'pregnant' }] }]],
    ['a range for an age', [{ ...range(1, 4), age: { high: { value: 18 } } }]],
    ['a range of treatment', [{ ...range(1, 4), type: { coding: [{ code: 'therapeutic' }] } }]],
    ['two ranges', [range(1, 4), range(1, 3)]],
    ['a range in words', [{ text: '1 to 4' }]],
    ['no range', []],
  ])('nobody knows by %s', (_name, referenceRange) => {
    expect(positionOf({ valueQuantity: { value: 9, ...UNIT }, referenceRange })).toBeUndefined();
  });

  test('a range without a unit is that of a value without one, and of no value that has one in code alone', () => {
    const referenceRange = [{ high: { value: 5.6 } }];
    const coded = { value: 95, system: UNIT.system, code: 'mg/dL' };
    expect(positionOf({ valueQuantity: coded, referenceRange })).toBeUndefined();
    expect(positionOf({ valueQuantity: { value: 7 }, referenceRange })).toBe('high');
  });
});

describe('a flag is borne out', () => {
  test('by no code of another system, and by no text', () => {
    const interpretation = [{ text: 'HH', coding: [{ system: 'urn:lab', code: 'HH' }] }];
    expect(isBorneOut(CRITICAL, result({ interpretation }), NO_TABLE)).toBe(false);
  });

  test('by one component, and by none that contradicts itself', () => {
    const high = { code: { text: 'systolic' }, interpretation: coded('HH') };
    const within = { code: { text: 'diastolic' }, valueQuantity: { value: 2, ...UNIT }, referenceRange: [range(1, 4)] };
    expect(isBorneOut(CRITICAL, result({ component: [within, high] }), NO_TABLE)).toBe(true);
    const contradictory = { ...within, interpretation: coded('HH') };
    expect(isBorneOut(CRITICAL, result({ component: [contradictory] }), NO_TABLE)).toBe(false);
  });

  test('by no interpretation of the whole for a component that has none', () => {
    const component = [{ code: { text: 'part' }, valueQuantity: { value: 2, ...UNIT }, referenceRange: [range(1, 4)] }];
    const observation = result({ interpretation: coded('N'), component });
    expect(isBorneOut(HIGH, observation, NO_TABLE)).toBe(false);
  });

  test('by the table, unless the range speaks against it', () => {
    const table = (): Abnormality => CRITICAL;
    const valueQuantity = { value: 2, ...UNIT };
    expect(isBorneOut(CRITICAL, result({ valueQuantity }), table)).toBe(true);
    expect(isBorneOut(CRITICAL, result({ valueQuantity, referenceRange: [range(1, 4)] }), table)).toBe(false);
  });

  const codes = fc.subarray([...Object.keys(INTERPRETATIONS), 'N']);
  const observations = fc
    .record({ codes, value: fc.integer({ min: 0, max: 10 }), low: fc.integer({ min: 1, max: 4 }), high: fc.integer({ min: 5, max: 9 }), ranged: fc.boolean() })
    .map(({ codes: some, value, low, high, ranged }) =>
      result({
        interpretation: coded(...some),
        valueQuantity: { value, ...UNIT },
        ...(ranged ? { referenceRange: [range(low, high)] } : {}),
      })
    );
  const directions = fc.constantFrom('high', 'low', 'any') as fc.Arbitrary<Abnormality['direction']>;

  test('as abnormal wherever it is as critical', () => {
    fc.assert(
      fc.property(observations, directions, (observation, direction) => {
        const critical = isBorneOut({ level: 'critical', direction }, observation, NO_TABLE);
        return !critical || isBorneOut({ level: 'abnormal', direction }, observation, NO_TABLE);
      })
    );
  });

  test('never in both directions, and never as critical without a critical code', () => {
    fc.assert(
      fc.property(observations, (observation) => {
        const both =
          isBorneOut(HIGH, observation, NO_TABLE) &&
          isBorneOut({ level: 'abnormal', direction: 'low' }, observation, NO_TABLE);
        const critical = isBorneOut({ level: 'critical', direction: 'any' }, observation, NO_TABLE);
        const said = observation.interpretation?.[0]?.coding?.some(({ code }) => ['HH', 'LL', 'AA'].includes(code ?? ''));
        return !both && (!critical || said === true);
      })
    );
  });

  test('never by a result that is not final', () => {
    for (const status of ['registered', 'preliminary', 'cancelled', 'entered-in-error', 'unknown'] as const) {
      expect(isBorneOut(HIGH, result({ status, interpretation: coded('HH') }), NO_TABLE)).toBe(false);
    }
  });
});
