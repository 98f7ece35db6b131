import type { Observation } from '@medplum/fhirtypes';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { a1c, result } from '../../../test/support/diabetic.ts';
import { SOURCE_LIMITS } from '../model/sources.ts';
import { MOST_LISTED, type Series, seriesOf, seriesText } from './series.ts';

let made = 0;
const stored = (observation: Observation): Observation => ({ ...observation, id: `o${++made}` });
const values = (...points: [value: number, date: string][]): Observation[] =>
  points.map(([value, date]) => stored(a1c('p', value, date)));
const all = (observations: readonly Observation[]): Series[] => seriesOf(observations, () => true);
const only = (observations: readonly Observation[]): Series => {
  const found = all(observations);
  expect(found).toHaveLength(1);
  return found[0] as Series;
};

describe('A series', () => {
  test('is in the order of time, whatever the order given', () => {
    const series = only(values([7.1, '2024-07-02'], [8.2, '2024-01-10'], [7.5, '2024-03']));
    expect(series.points.map(({ value }) => value)).toEqual([8.2, 7.5, 7.1]);
    expect(series.direction).toBe('falling');
  });

  test('orders instants of different zones by when they were', () => {
    const series = only(values([1, '2024-01-10T01:00:00+05:00'], [2, '2024-01-09T22:00:00Z']));
    expect(series.points.map(({ value }) => value)).toEqual([1, 2]);
  });

  test('needs two values', () => {
    expect(all(values([8.2, '2024-01-10']))).toEqual([]);
  });

  test('has one unit and one code', () => {
    const observations = [
      ...values([8.2, '2024-01-10'], [7.1, '2024-07-02']),
      stored(a1c('p', 54, '2024-08-01', { valueQuantity: { value: 54, unit: 'mmol/mol' } })),
      stored(a1c('p', 53, '2024-09-01', { valueQuantity: { value: 53, unit: 'mmol/mol' } })),
      stored(result('p', '2823-3', 'Potassium', 4.1, 'mmol/L', '2024-09-02')),
      stored(result('p', '2823-3', 'Potassium', 4.2, 'mmol/l', '2024-09-03')),
    ];
    expect(all(observations).map(({ subject, unit, points }) => [subject.name, unit, points.length])).toEqual([
      ['Potassium', 'mmol/L', 2],
      ['Hemoglobin A1c', 'mmol/mol', 2],
      ['Hemoglobin A1c', '%', 2],
    ]);
  });

  test('is of what is wanted alone', () => {
    const observations = [
      ...values([8.2, '2024-01-10'], [7.1, '2024-07-02']),
      stored(result('p', '2823-3', 'Potassium', 4.1, 'mmol/L', '2024-09-02')),
      stored(result('p', '2823-3', 'Potassium', 4.2, 'mmol/L', '2024-09-03')),
    ];
    expect(seriesOf(observations, ({ loinc }) => loinc === '2823-3')).toHaveLength(1);
  });

  test('takes the components of an Observation apart', () => {
    const pressure = (systolic: number, date: string): Observation =>
      stored({
        resourceType: 'Observation',
        status: 'final',
        code: { text: 'Blood pressure' },
        effectiveDateTime: date,
        component: [{ code: { text: 'Systolic' }, valueQuantity: { value: systolic, unit: 'mmHg' } }],
      });
    expect(only([pressure(150, '2024-01-10'), pressure(140, '2024-02-10')])).toMatchObject({
      subject: { name: 'Systolic' },
      direction: 'falling',
    });
  });

  test.each([
    ['rising', [1, 1, 2]],
    ['falling', [2, 1, 1]],
    ['unchanged', [1, 1, 1]],
    ['varying', [1, 2, 1]],
  ] as const)('is %s where its values are %s', (direction, given) => {
    const series = only(values(...given.map((value, index) => [value, `2024-0${index + 1}-01`] as [number, string])));
    expect(series.direction).toBe(direction);
  });

  test.each([
    ['a bound', a1c('p', 5, '2024-08-01', { valueQuantity: { value: 5, comparator: '<', unit: '%' } })],
    ['no date', a1c('p', 5, '2024-08-01', { effectiveDateTime: undefined as never })],
  ])('with %s has no direction', (_name, observation) => {
    const series = only([...values([8.2, '2024-01-10'], [7.1, '2024-07-02']), stored(observation)]);
    expect(series.direction).toBeUndefined();
    expect(seriesText(series).text).toContain('Direction: not computed');
    expect(seriesText(series).text).not.toMatch(/First:|lower than the first/);
  });

  test('of words has no direction', () => {
    const worded = (text: string, date: string): Observation =>
      stored(a1c('p', 0, date, { valueQuantity: undefined as never, valueString: text }));
    const series = only([worded('negative', '2024-01-10'), worded('positive', '2024-02-10')]);
    expect(series.direction).toBeUndefined();
    expect(seriesText(series).text).toContain('2024-02-10: positive');
  });
});

describe('A series in words', () => {
  test('says first, last, direction and difference, and the extremes of three or more', () => {
    const series = only(values([8.2, '2024-01-10'], [9.0, '2024-03-01'], [7.15, '2024-07-02']));
    expect(seriesText(series)).toEqual({
      date: '2024-07-02',
      title: 'HbA1c: Hemoglobin A1c',
      text: [
        'Series of values: HbA1c: Hemoglobin A1c (LOINC 4548-4), in %',
        'Number of values: 3',
        '2024-01-10: 8.2 %',
        '2024-03-01: 9 %',
        '2024-07-02: 7.15 %',
        'First: 8.2 % on 2024-01-10',
        'Last: 7.15 % on 2024-07-02',
        'Lowest: 7.15 % on 2024-07-02',
        'Highest: 9 % on 2024-03-01',
        'Direction: varying, up and down',
        'The last value is 1.05 percentage points lower than the first',
      ].join('\n'),
    });
  });

  test('says what a laboratory said of a value, and that it is preliminary', () => {
    const flagged = stored(
      a1c('p', 8.2, '2024-01-10', {
        status: 'preliminary',
        interpretation: [{ text: 'High' }],
        referenceRange: [{ low: { value: 4, unit: '%' }, high: { value: 5.6, unit: '%' } }],
      })
    );
    const series = only([flagged, ...values([7.1, '2024-07-02'])]);
    expect(seriesText(series).text).toContain('2024-01-10: 8.2 % (High; reference range 4 % to 5.6 %; preliminary)');
  });

  test('says a difference in its unit, and none where there is none', () => {
    const potassium = (value: number, date: string) =>
      stored(result('p', '2823-3', 'Potassium', value, 'mmol/L', date));
    expect(seriesText(only([potassium(4.1, '2024-01-01'), potassium(5, '2024-02-01')])).text).toContain(
      'The last value is 0.9 mmol/L higher than the first'
    );
    expect(seriesText(only([potassium(4.1, '2024-01-01'), potassium(4.1, '2024-02-01')])).text).toContain(
      'The last value is the same as the first'
    );
  });

  test('lists the newest of many, tells how many there are, and works over all', () => {
    const many = Array.from({ length: 100 }, (_, index) =>
      stored(a1c('p', index === 3 ? 99 : 7, new Date(Date.UTC(2020, 0, 1 + index)).toISOString().slice(0, 10)))
    );
    const { text } = seriesText(only(many));
    expect(text).toContain('Number of values: 100');
    expect(text).toContain(`The newest ${MOST_LISTED} of them`);
    expect(text).toContain('Highest: 99 % on 2020-01-04');
    expect(text).not.toContain('2020-01-05: 7 %');
  });

  test('always fits into a source', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 80 }), fc.integer({ min: 0, max: 2_000 }), (length, remark) => {
        const observations = Array.from({ length }, (_, index) =>
          stored(
            a1c('p', index, `2024-01-${String((index % 28) + 1).padStart(2, '0')}`, {
              referenceRange: [{ text: 'x'.repeat(remark) }],
            })
          )
        );
        const { text } = seriesText(only(observations));
        expect(
          text.length <= SOURCE_LIMITS.text || text.split('\n').filter((line) => /^2024/.test(line)).length <= 1
        ).toBe(true);
        expect(text).toContain(`Number of values: ${length}`);
      }),
      { numRuns: 40 }
    );
  });
});
