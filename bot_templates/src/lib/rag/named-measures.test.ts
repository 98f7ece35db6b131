import { describe, expect, test } from 'vitest';
import { GROUPS, MEASURES } from './measures.ts';
import { isMeasured, isNamedIn, measureTitle, namedMeasures, subjectOf } from './named-measures.ts';

const LOINC = 'http://loinc.org';
const names = (question: string): string[] => namedMeasures(question).map(({ name }) => name);
const subject = (text: string | undefined, ...codings: [string, string, string?][]) =>
  subjectOf({
    ...(text ? { text } : {}),
    coding: codings.map(([system, code, display]) => ({ system, code, ...(display ? { display } : {}) })),
  });

describe('A question names', () => {
  test.each([
    ['What is the HbA1c?', ['HbA1c']],
    ['hb a1c over time', ['HbA1c']],
    ['Glycated haemoglobin?', ['HbA1c']],
    ['Hemoglobin A1c and hemoglobin', ['HbA1c', 'Hemoglobin']],
    ['Hemoglobin', ['Hemoglobin']],
    ['Wie hat sich der Langzeit-Blutzucker entwickelt?', ['HbA1c']],
    ['Kreatinin-Verlauf', ['Creatinine']],
    ['Évolution de la créatinine ? glycémie ?', ['Glucose', 'Creatinine']],
    ['¿Cómo está el potasio?', ['Potassium']],
    ['Körpergröße und Gewicht', ['Body weight', 'Body height']],
    ['kidney function', ['Creatinine', 'eGFR', 'Urea', 'Potassium']],
    ['blood pressure and pulse', ['Blood pressure', 'Heart rate']],
    ['BP trend', ['Blood pressure']],
    ['ALT and AST', ['ALT', 'AST']],
    ['LDL cholesterol', ['LDL cholesterol']],
    ['cholesterol', ['Cholesterol']],
    ['CRP?', ['CRP']],
    ['C-reactive protein', ['CRP']],
    ['LOINC 4548-4', ['HbA1c']],
    ['What about 2093-3 and 12345-6?', ['Cholesterol', '12345-6']],
    ['albumin creatinine ratio', ['Albumin/creatinine in urine']],
  ])('%s: %s', (question, expected) => {
    expect(names(question)).toEqual(expected);
  });

  test.each([
    'Wie alt ist der Patient?',
    'Does she take any medication?',
    'Is he at risk?',
    'Call 555-1234567',
    'on 2024-01-10',
    'hr department',
    'The next pt',
    '',
  ])('nothing: %s', (question) => {
    expect(names(question)).toEqual([]);
  });
});

describe('What is measured', () => {
  test('is told by LOINC code first, then by another code, then by words', () => {
    expect(subject('HbA1c', ['urn:local', 'a1c'], [LOINC, '4548-4'])).toMatchObject({
      key: `${LOINC}|4548-4`,
      loinc: '4548-4',
    });
    expect(subject('HbA1c', ['urn:local', 'a1c'])).toMatchObject({
      key: 'urn:local|a1c',
      token: 'urn:local|a1c',
      loinc: undefined,
    });
    expect(subject('HbA1c')).toMatchObject({ key: 'text|hba1c', token: undefined });
    expect(subjectOf(undefined)).toBeUndefined();
    expect(subjectOf({ coding: [] })).toBeUndefined();
  });

  test('is the measure of its code, whatever its words', () => {
    const [hba1c] = namedMeasures('HbA1c');
    const [glucose] = namedMeasures('glucose');
    expect(isMeasured(hba1c!, subject('Sugar', [LOINC, '17856-6'])!)).toBe(true);
    // Urine is not blood.
    expect(isMeasured(glucose!, subject('Glucose', [LOINC, '5792-7'])!)).toBe(false);
  });

  test('without a code, only by its whole name', () => {
    const [glucose] = namedMeasures('glucose');
    expect(isMeasured(glucose!, subject('Blood Sugar')!)).toBe(true);
    expect(isMeasured(glucose!, subject('Glucose in urine')!)).toBe(false);
  });

  test.each([
    ['How is the homocysteine?', 'Homocysteine [Moles/volume] in Serum or Plasma', true],
    ['How is the apolipoprotein B?', 'Apolipoprotein B', true],
    ['How is the lipoprotein?', 'Apolipoprotein B', false],
    ['What was the test?', 'Test', false],
    ['Is he in pain?', 'Pain', false],
    ['IgE?', 'IgE', false],
  ])('"%s" has the name of %s: %s', (question, name, expected) => {
    expect(isNamedIn(question, subject(name)!)).toBe(expected);
  });

  test('has a title with the name that a question uses', () => {
    expect(measureTitle(subject(undefined, [LOINC, '4548-4', 'Hemoglobin A1c/Hemoglobin.total in Blood'])!)).toBe(
      'HbA1c: Hemoglobin A1c/Hemoglobin.total in Blood'
    );
    expect(measureTitle(subject('Potassium', [LOINC, '2823-3'])!)).toBe('Potassium');
    expect(measureTitle(subject('Homocysteine')!)).toBe('Homocysteine');
  });
});

describe('The list of measures', () => {
  test('has no code and no term twice, and codes of the right form', () => {
    const codes = MEASURES.flatMap((measure) => measure.codes);
    const terms = [...MEASURES, ...GROUPS].flatMap((each) => each.terms);
    expect(new Set(codes).size).toBe(codes.length);
    expect(new Set(terms).size).toBe(terms.length);
    for (const code of codes) {
      expect(`${code} ${checkDigit(code)}`).toBe(`${code} ${code.split('-')[1]}`);
    }
  });

  test('groups name measures that are there', () => {
    const known = MEASURES.map(({ name }) => name);
    expect(GROUPS.flatMap(({ measures }) => measures).filter((name) => !known.includes(name))).toEqual([]);
  });
});

/** The last figure of a LOINC code is worked out from the others (mod 10, as LOINC's guide has it). */
function checkDigit(code: string): string {
  const digits = (code.split('-')[0] as string).split('').reverse();
  const odd = digits
    .filter((_, index) => index % 2 === 0)
    .reverse()
    .join('');
  const even = digits
    .filter((_, index) => index % 2 === 1)
    .reverse()
    .join('');
  const doubled = String(Number(odd) * 2);
  const sum = [...even, ...doubled].reduce((total, digit) => total + Number(digit), 0);
  return String((10 - (sum % 10)) % 10);
}
