import { describe, expect, test } from 'vitest';
import { excludes1Among, matches } from './excludes1.ts';
import { lookUp, plainCode } from './icd10cm.ts';

describe('The ICD-10-CM table', () => {
  test.each([
    ['I10', 'I10', 'Essential (primary) hypertension'],
    ['E11.9', 'E11.9', 'Type 2 diabetes mellitus without complications'],
    ['E119', 'E11.9', 'Type 2 diabetes mellitus without complications'],
    ['e11.9', 'E11.9', 'Type 2 diabetes mellitus without complications'],
    [' e119 ', 'E11.9', 'Type 2 diabetes mellitus without complications'],
    ['S13.4XXA', 'S13.4XXA', 'Sprain of ligaments of cervical spine, initial encounter'],
    ['s134xxd', 'S13.4XXD', 'Sprain of ligaments of cervical spine, subsequent encounter'],
    ['W19.XXXA', 'W19.XXXA', 'Unspecified fall, initial encounter'],
    [
      'S52.501A',
      'S52.501A',
      'Unspecified fracture of the lower end of right radius, initial encounter for closed fracture',
    ],
    ['M1A.0110', 'M1A.0110', 'Idiopathic chronic gout, right shoulder, without tophus (tophi)'],
    ['C7A.00', 'C7A.00', 'Malignant carcinoid tumor of unspecified site'],
    ['QA0.0101', 'QA0.0101', 'SCN2A-related neurodevelopmental disorder'],
    ['B20', 'B20', 'Human immunodeficiency virus [HIV] disease'],
    ['U07.1', 'U07.1', 'COVID-19'],
  ])('%j is the leaf %s', (written, code, description) => {
    expect(lookUp(written)).toMatchObject({ kind: 'leaf', code, description });
  });

  test.each([
    ['E11', 'Type 2 diabetes mellitus'],
    ['E11.6', 'Type 2 diabetes mellitus with other specified complications'],
    ['S13.4', 'Sprain of ligaments of cervical spine'],
    ['S13.4X', 'Sprain of ligaments of cervical spine'],
    ['S13.4XX', 'Sprain of ligaments of cervical spine'],
    ['S52.501', 'Unspecified fracture of the lower end of right radius'],
    ['W19', 'Unspecified fall'],
    ['W19.XXX', 'Unspecified fall'],
  ])('%s is no leaf', (code, description) => {
    expect(lookUp(code)).toEqual({ kind: 'category', code, description });
  });

  test.each([
    ['an invented code', 'Z99.999'],
    ['a placeholder that is missing', 'S13.4A'],
    ['an ending that the code does not take', 'S13.4XXB'],
    ['a placeholder too many', 'I10.X'],
    ['an ending of a code that takes none', 'I10XXXA'],
    ['a dot in a wrong place', 'E1.19'],
    ['two dots', 'E1.1.9'],
    ['a dot and nothing after it', 'E11.'],
    ['a code of ICD-10 that the clinical modification lacks', 'I84.9'],
    ['a chapter', 'A00-B99'],
    ['nothing', ''],
    ['a name of the language', '__proto__'],
    ['a line of the table', 'E119\tType'],
    ['a code that is too long', 'S52.501AA'],
    ['a letter that looks like another', 'Е11.9'],
  ])('%s is unknown: %j', (_name, code) => {
    expect(lookUp(code)).toEqual({ kind: 'unknown' });
  });

  test('a leaf knows what it includes and what stands above it', () => {
    expect(lookUp('I10')).toMatchObject({ terms: expect.arrayContaining(['high blood pressure']) as unknown });
    expect(lookUp('E11.65')).toMatchObject({ category: 'Type 2 diabetes mellitus' });
    expect(lookUp('S13.4XXA')).toMatchObject({
      terms: expect.arrayContaining(['Whiplash injury of cervical spine']) as unknown,
    });
  });

  test('a lookup takes no time worth speaking of', () => {
    const started = performance.now();
    for (const code of ['A00.0', 'C50.911', 'E11.9', 'I10', 'S52.501A', 'T36.0X1A', 'V00.01XA', 'Z99.89']) {
      expect(lookUp(code).kind).toBe('leaf');
    }
    expect(performance.now() - started).toBeLessThan(60);
  });
});

describe('Excludes1', () => {
  test.each([
    ['a code and a code', ['I10', 'I16.0'], []],
    ['two types of diabetes', ['E10.9', 'E11.9'], [['E10.9', 'E11.9']]],
    ['the same, the other way round', ['E11.9', 'E10.9'], [['E11.9', 'E10.9']]],
    ['a range', ['I10', 'O10.02'], [['I10', 'O10.02']]],
    ['a note of a category, for its leaves', ['J20.9', 'J40'], [['J20.9', 'J40']]],
    ['a condition on characters', ['G59', 'E11.41'], [['G59', 'E11.41']]],
    ['the same, not met', ['G59', 'E11.42'], []],
    ['a condition on an ending', ['S01.01XA', 'S02.0XXB'], [['S01.01XA', 'S02.0XXB']]],
    ['the same, not met', ['S01.01XA', 'S02.0XXA'], []],
    ['the same code twice', ['E11.9', 'E11.9'], []],
    ['codes that may stand together', ['I10', 'E11.9'], []],
    ['nothing', [], []],
    ['no codes', ['', 'nonsense'], []],
  ])('%s', (_name, codes, pairs) => {
    expect(excludes1Among(codes).map((alert) => alert.codes)).toEqual(pairs);
  });

  test('an alert says of which note it is', () => {
    expect(excludes1Among(['I10', 'O10.02'])).toEqual([{ codes: ['I10', 'O10.02'], note: 'I10 excludes O10-O11' }]);
  });

  test.each([
    ['E1144', 'E08-E13/4=4/5=4', true],
    ['E1443', 'E08-E13/4=4/5=4', false],
    ['E114', 'E08-E13/4=4/5=4', false],
    ['E1151', 'E08-E13/4=5/5=12', true],
    ['E139', 'E08-E13', true],
    ['E140', 'E08-E13', false],
    ['I1A0', 'I10-I1A', true],
    ['', 'A00', false],
  ])('%s of %s: %s', (code, pattern, meant) => {
    expect(matches(code, pattern)).toBe(meant);
  });
});

test.each([
  ['e11.9', 'E119'],
  ['E11.9 ', 'E119'],
  ['E11', 'E11'],
  ['E1', undefined],
  ['1E1', undefined],
  ['E11.9.1', undefined],
  ['E11 9', undefined],
])('%j without its dot is %s', (written, plain) => {
  expect(plainCode(written)).toBe(plain);
});
