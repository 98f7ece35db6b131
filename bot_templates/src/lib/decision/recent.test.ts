import type { Observation } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { AI_LABEL } from '../commands/label.ts';
import { recentCritical } from './recent.ts';
import { shippedRules } from './rules.ts';

const NOW = new Date('2026-11-26T12:00:00Z');
const { critical } = shippedRules();

let count = 0;
function potassium(value: number, effectiveDateTime: string | undefined, more: Partial<Observation> = {}): Observation {
  return {
    resourceType: 'Observation',
    id: String(++count),
    status: 'final',
    code: { coding: [{ system: 'http://loinc.org', code: '2823-3' }] },
    valueQuantity: { value, unit: 'mmol/L' },
    ...(effectiveDateTime === undefined ? {} : { effectiveDateTime }),
    ...more,
  };
}
const of = (...observations: Observation[]) => recentCritical(observations, 50, critical, 72, NOW);

describe('recent critical results', () => {
  test('one of today stands', () => {
    expect(of(potassium(6.8, '2026-11-26T08:00:00Z')).criticalFindings).toMatchObject([{ superseded: false }]);
  });

  test.each([
    ['four days ago', '2026-11-22T08:00:00Z'],
    ['a year ago', '2025-11-26'],
    ['a month', '2026-09'],
  ])('one of %s does not count', (_name, date) => {
    expect(of(potassium(6.8, date))).toMatchObject({ criticalFindings: [], considered: [] });
  });

  test('a day counts until its end', () => {
    expect(of(potassium(6.8, '2026-11-23')).criticalFindings).toHaveLength(1);
    expect(of(potassium(6.8, '2026-11-22')).criticalFindings).toEqual([]);
  });

  test('one without a date counts as of its last change', () => {
    const meta = { lastUpdated: '2026-11-26T08:00:00Z' };
    expect(of(potassium(6.8, undefined, { meta })).criticalFindings).toHaveLength(1);
    expect(of(potassium(6.8, undefined, { meta: { lastUpdated: '2026-10-01T08:00:00Z' } })).criticalFindings).toEqual(
      []
    );
  });

  test('one far in the future is an error of entry, and told', () => {
    expect(of(potassium(6.8, '2027-11-26T08:00:00Z'))).toMatchObject({
      criticalFindings: [],
      notAssessed: [{ reason: 'FUTURE_DATE' }],
    });
  });

  test('a later value that is not final yet takes the place of one that is not either', () => {
    const status = 'preliminary';
    const found = of(potassium(4.2, '2026-11-26T09:00:00Z', { status }), potassium(6.8, '2026-11-26T08:00:00Z', { status }));
    expect(found.criticalFindings).toMatchObject([{ value: 6.8, superseded: true }]);
  });

  test('a later value of the same quantity takes its place', () => {
    const found = of(potassium(4.2, '2026-11-26T09:00:00Z'), potassium(6.8, '2026-11-26T08:00:00Z'));
    expect(found.criticalFindings).toMatchObject([{ value: 6.8, superseded: true }]);
  });

  test.each([
    ['an earlier one', potassium(4.2, '2026-11-26T07:00:00Z')],
    ['one of the same time', potassium(4.2, '2026-11-26T08:00:00Z')],
    [
      'a later one in a wrong unit',
      potassium(4.2, '2026-11-26T09:00:00Z', { valueQuantity: { value: 4.2, unit: 'mg/dL' } }),
    ],
    ['a later one that a model asserted', potassium(4.2, '2026-11-26T09:00:00Z', { meta: { security: [AI_LABEL] } })],
    ['a later one that is not final yet', potassium(4.2, '2026-11-26T09:00:00Z', { status: 'preliminary' })],
    ['a later one in error', potassium(4.2, '2026-11-26T09:00:00Z', { status: 'entered-in-error' })],
    ['a later one without a value', potassium(4.2, '2026-11-26T09:00:00Z', { valueQuantity: {} })],
    ['a day without a time', potassium(4.2, '2026-11-26')],
    [
      'another quantity',
      potassium(4.2, '2026-11-26T09:00:00Z', { code: { coding: [{ system: 'http://loinc.org', code: '2951-2' }] } }),
    ],
  ])('%s does not', (_name, other) => {
    const [found] = of(other, potassium(6.8, '2026-11-26T08:00:00Z')).criticalFindings.filter(
      ({ rule }) => rule === 'potassium'
    );
    expect(found?.superseded).toBe(false);
  });
});
