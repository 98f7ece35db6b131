import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { costOf } from '../../../test/support/cost.ts';
import { canonical, sharesNumber, unsupportedNumbers } from './numbers.ts';

describe('A text says no more than another', () => {
  test.each([
    // Numbers
    ['8.2', '8.2 %'],
    ['8.20', '8.2'],
    ['08.2', '8.2'],
    ['.5 mg', '0.5 mg'],
    ['8,2', '8.2'],
    ['1,200 ml', '1200 ml'],
    ['12,345,678', '12345678'],
    ["1'200", '1200'],
    ['1\u202f200', '1200'],
    ['10mg', '10 mg'],
    ['every 8h', 'q8h'],
    ['q8h', 'every 8 hours'],
    ['BP 120/80', '120/80 mmHg'],
    ['90 to 120', '90-120'],
    ['90–120', '90 to 120'],
    ['three days', '3 days'],
    ['3 days', 'for three days'],
    ['twenty-five', '25'],
    ['one of these', 'nothing'],
    ['the two values', 'nothing'],
    ['2 tablets', 'two tablets'],
    ['stage III', 'stage 3'],
    ['NYHA class II', 'NYHA II'],
    ['below 5', '<5'],
    ['<5', '< 5 mg/L'],
    ['> 90 %', 'SpO2 >90 %'],
    ['over 5', '5'],
    ['-5 mmol/l', 'BE -5 mmol/l'],
    ['5 mg', '- 5 mg'],
    ['5 mg', '\n-5 mg daily'],
    ['10^9/l', '10*9/L'],
    ['10⁹/l', '10^9/L'],
    ['28 kg/m²', '28 kg/m2'],
    ['60 ml/min/1.73 m²', '60 mL/min/{1.73_m2}'],
    // Scripts
    ['٨٫٢', '8.2'],
    ['8.2', '٨٫٢'],
    ['८.२', '8.2'],
    ['８．２', '8.2'],
    ['𝟠.𝟚', '8.2'],
    ['۸.۲ %', '8.2 %'],
    ['๘.๒', '8.2'],
    // Dates
    ['2024-01-10', '2024-01-10T08:00:00Z'],
    ['10 January 2024', '2024-01-10'],
    ['January 10, 2024', '2024-01-10'],
    ['Jan 10th, 2024', '2024-01-10'],
    ['10. Januar 2024', '2024-01-10'],
    ['le 10 janvier 2024', '2024-01-10'],
    ['el 10 de enero de 2024', '2024-01-10'],
    ['10 gennaio 2024', '2024-01-10'],
    ['10/01/2024', '2024-01-10'],
    ['01/10/2024', '2024-01-10'],
    ['10.01.24', '2024-01-10'],
    ['2024/01/10', '2024-01-10'],
    ['2024年1月10日', '2024-01-10'],
    ['January 2024', '2024-01-10'],
    ['01/2024', '2024-01-10'],
    ['in 2024', '2024-01-10'],
    ['since 2019', 'since 2019'],
    ['10 January', '2024-01-10'],
    ['2024-01-10', 'seen on 10 Jan 2024'],
    ['at 08:00', '2024-01-10T08:00:00+02:00'],
    ['at 8 am', '08:00'],
    ['at 8:30 pm', '20:30'],
    // Codes and names
    ['E11.9', 'ICD-10-CM E11.9'],
    ['e11.9', 'E11.9'],
    ['code 4548-4', 'LOINC 4548-4'],
    ['LOINC 4548-4', 'LOINC 4548-4'],
    ['RxNorm 860975', 'RxNorm 860975'],
    ['860975', 'RxNorm 860975'],
    ['T2N1M0', 'staged T2N1M0'],
    ['HbA1c and SpO2', 'nothing'],
    ['vitamin B12', 'nothing'],
    ['COVID-19', 'nothing'],
    ['no figures at all', ''],
  ])('"%s" by "%s"', (text, said) => {
    expect(unsupportedNumbers(text, said)).toEqual([]);
  });

  test('whatever the text, it bears itself out', () => {
    const piece = fc.constantFrom(
      ...[
        '8.2',
        '1,200',
        '-5',
        '<5',
        '2024-01-10',
        '10 Jan 2024',
        '08:00',
        'E11.9',
        '4548-4',
        'stage III',
        'three',
        '٨',
        'q8h',
      ],
      ...['mg', '%', '.', ',', '-', '/', ' ', '(', 'to', 'on', 'LOINC', '10^9', 'm²', '\n']
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (parts) => {
        const text = parts.join(' ');
        expect([text, unsupportedNumbers(text, text)]).toEqual([text, []]);
      }),
      { numRuns: 1_000 }
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (text) => {
        expect(unsupportedNumbers(text, text)).toEqual([]);
      })
    );
  });
});

describe('A text says more than another', () => {
  test.each([
    // Numbers
    ['9.2', '8.2', ['9.2']],
    ['8', '8.2', ['8']],
    ['82', '8.2', ['82']],
    ['2', '8.2', ['2']],
    ['1200', '1.2', ['1200']],
    ['5 mg', '500 mg', ['5']],
    ['nine', '8', ['9']],
    ['twenty-six', '25', ['26']],
    ['stage IV', 'stage III', ['4']],
    ['BE of -5', '5', ['-5']],
    ['BE of 5', 'BE -5', ['5']],
    ['5', '<5', ['5']],
    ['CRP 5', 'CRP<5', ['5']],
    ['10^6/l', '10^9/l', ['power:6']],
    ['٩', '8', ['9']],
    ['９', '8', ['9']],
    ['every 6 hours', 'q8h', ['6']],
    // A date, a time and a code are no numbers
    ['10 mg', '2024-01-10', ['10']],
    ['2024 ml', 'seen on 2024-01-10 and 2024-02-10', []],
    ['8 mg', 'at 08:00', ['8']],
    ['4 %', 'LOINC 4548-4', ['4']],
    ['10 %', 'ICD-10-CM E11.9', ['10']],
    ['11.9', 'E11.9', ['11.9']],
    // Dates
    ['2024-02-10', '2024-01-10', ['date:2024-02-10']],
    ['10 February 2024', '2024-01-10', ['date:2024-02-10']],
    ['2024-10-01', '2024-01-10', ['date:2024-10-01']],
    ['on 11/01/2024', '2024-01-10', ['date:2024-01-11']],
    ['January 2023', '2024-01-10', ['date:2023-01']],
    ['in 2023', '2024-01-10', ['2023']],
    ['January 2024', 'in 2024', ['date:2024-01']],
    ['at 9:00', '08:00', ['time:9:00']],
    // Codes and ids
    ['Z99.999', 'E11.9', ['code:z99.999']],
    ['E11', 'E11.9', ['code:e11']],
    ['T3N1M0', 'T2N1M0', ['code:t3n1m0']],
    ['G4', 'G3', ['code:g4']],
    ['LOINC 4549-2', 'LOINC 4548-4', ['code:4549-2']],
    ['S12', 'S1', ['code:s12']],
  ])('"%s" than "%s"', (text, said, expected) => {
    expect(unsupportedNumbers(text, said)).toEqual(expected);
  });

  test('an id of somebody else', () => {
    const [mine, other] = [randomUUID(), randomUUID()];
    expect(unsupportedNumbers(`Patient/${other.toUpperCase()}`, `Patient/${mine}`)).toEqual([`id:${other}`]);
  });

  test('by any number that is not there', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9_999 }), fc.integer({ min: 0, max: 9_999 }), (one, other) => {
        fc.pre(one !== other);
        const decimal = (value: number) => String(value / 10);
        expect(unsupportedNumbers(`Value ${decimal(one)} mg`, `Value: ${decimal(other)} mg`)).toEqual([decimal(one)]);
      })
    );
  });
});

test.each([
  ['K 8.2', 'Value: 8.20 %', true],
  ['K 8.2', 'Value: 7.1 %', false],
  ['<5', '<5', true],
  ['in 2024', '2024-01-10', false],
  ['2024-01-10', '2024-01-10', false],
  ['E11.9', 'E11.9', false],
  ['at 08:00', '08:00', false],
  ['three days', '3 days', true],
  ['', '', false],
])('"%s" and "%s" share a number: %s', (text, said, expected) => {
  expect(sharesNumber(text, said)).toBe(expected);
});

test.each([
  ['08,20', '8.2'],
  ['1,200', '1200'],
  ['1,20', '1.2'],
  ['0', '0'],
  ['000', '0'],
  ['.5', '0.5'],
])('%s is spelt %s', (number, expected) => {
  expect(canonical(number)).toBe(expected);
});

test.each([
  '9',
  '9,',
  '9.',
  '1-',
  'a1',
  '2024-',
  '10 jan ',
  '１',
  'loinc ',
  '1:',
  '<',
  'stage ',
  'vitamin ',
  '-1',
  '1/',
])('200 kB of "%s" take a moment', (unit) => {
  const text = unit.repeat(200_000 / unit.length);
  expect(costOf(() => unsupportedNumbers(text, text))).toBeLessThan(3_000);
});
