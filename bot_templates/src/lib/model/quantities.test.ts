import { costOf } from '../../../test/support/cost.ts';
import { expect, test } from 'vitest';
import { quantitiesOf, unsupportedQuantities } from './quantities.ts';

test.each([
  ['8.20 %', ['8.2 %']],
  ['8.2% and 7,1 %', ['8.2 %', '7.1 %']],
  ['6.8 mmol/L', ['6.8 mmol/l']],
  ['148/92 mm[Hg]', ['92 mmhg']],
  ['88 /min, 88 bpm, 88 beats/min', ['88 /min', '88 /min', '88 /min']],
  ['5 µg or 5 mcg', ['5 mcg', '5 mcg']],
  ['500 mg twice daily for 10 days.', ['500 mg', '10 day']],
  ['a 2-week history', ['2 week']],
  ['4.5 10*3/uL', ['3 /ul']],
  ['37.9 °C', ['37.9 °c']],
  ['45-year-old', ['45 year']],
  ['type 2 diabetes, stage 3 disease, room 12', []],
])('%j holds %j', (text, quantities) => {
  expect(quantitiesOf(text)).toEqual(quantities);
});

test.each([
  ['Potassium 6.8 mg/dL', 'Value: 6.8 mmol/L'],
  ['for 2 weeks', 'for 2 days'],
  ['metformin 500 g', 'metformin 500 mg'],
])('%j is not borne out by %j', (text, said) => {
  expect(unsupportedQuantities(text, said)).not.toEqual([]);
});

test('another spelling of the same quantity is borne out', () => {
  expect(unsupportedQuantities('HbA1c 8.2%, pressure 92 mmHg', 'Value: 8.20 %\nDiastolic: 92 mm[Hg]')).toEqual([]);
});

test('takes no long time for any text', () => {
  expect(costOf(() => quantitiesOf('1.'.repeat(50_000) + '1'.repeat(50_000) + ' '.repeat(50_000)))).toBeLessThan(2_000);
});
