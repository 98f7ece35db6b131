import { describe, expect, test } from 'vitest';
import { reasonToDropFromNote } from './guards.ts';

/** A source of the record with a text. */
const source = (text: string, title = 'Note') => ({
  id: 'S1',
  reference: 'DocumentReference/1',
  date: '2024-05-01',
  title,
  text,
});
const reason = (text: string, said: string) => reasonToDropFromNote({ text, sources: [source(said)] });

describe('a finding of an examination', () => {
  test.each([
    ['Lungs are clear to auscultation bilaterally.', 'Asthma of the lungs, both sides (bilateral)'],
    ['Asthma without wheezing on auscultation.', 'Asthma, no wheezing reported'],
    ['The abdomen is soft and nontender.', 'Abdomen: pain since Monday'],
    ['There is no peripheral edema.', 'Heart failure, no peripheral symptoms'],
    ['Asthma, in no acute distress.', 'Asthma'],
    ['The abdomen is tender.', 'Abdomen: soft, nontender'],
    ['The patient is febrile.', 'Patient afebrile'],
    ['Regular rate and rhythm with asthma.', 'Asthma'],
  ])('%j that no source names is dropped', (text, said) => {
    expect(reason(text, said)).toBe('UNSUPPORTED_EXAM_FINDING');
  });

  test.each([
    ['Wheezing on auscultation of both lungs.', 'Exam: wheeze on auscultation, both lungs'],
    ['Ankle edema in both legs.', 'Edema of both ankles and legs'],
  ])('%j that a source names stays', (text, said) => {
    expect(reason(text, said)).toBeUndefined();
  });
});

describe('a medicine', () => {
  test.each([
    ['Start amoxicillin for the pneumonia.', 'Pneumonia'],
    ['Continue metformin and add empagliflozin.', 'Medication: Metformin 500 mg'],
    ['Pneumonia treated with antibiotics.', 'Pneumonia'],
    ['Vaccinated against influenza.', 'Influenza'],
  ])('%j that no source names is dropped', (text, said) => {
    expect(reason(text, said)).toBe('UNSUPPORTED_MEDICATION');
  });

  test('that its source names stays', () => {
    expect(reason('Continue metformin.', 'Medication: Metformin 500 mg\nStatus: active')).toBeUndefined();
  });
});

test.each([
  ['Potassium was 6.8 mg/dL.', 'Observation: Potassium\nValue: 6.8 mmol/L', 'UNSUPPORTED_NUMBER'],
  ['Denies chest pain.', 'Reports chest pain', 'UNSUPPORTED_NEGATION'],
  ['Potassium was elevated.', 'Observation: Potassium\nValue: 4.1 mmol/L', 'UNSUPPORTED_JUDGEMENT'],
  ['Potassium was normal.', 'Observation: Potassium\nValue: 6.1 mmol/L\nInterpretation: H', 'UNSUPPORTED_JUDGEMENT'],
  ['The pneumonia has resolved.', 'Condition: Pneumonia\nClinical status: Active', 'UNSUPPORTED_JUDGEMENT'],
  ['Type 2 diabetes mellitus, well controlled.', 'Condition: Type 2 diabetes mellitus', 'UNSUPPORTED_JUDGEMENT'],
  ['Type 2 diabetes mellitus, well controlled.', 'Poorly controlled type 2 diabetes mellitus', 'UNSUPPORTED_JUDGEMENT'],
  ['Mild persistent bronchial asthma.', 'Severe persistent bronchial asthma', 'UNSUPPORTED_JUDGEMENT'],
  ['Fracture of the right wrist.', 'Fracture of the left wrist', 'UNSUPPORTED_JUDGEMENT'],
  ['Chronic bronchitis of the lung.', 'Acute bronchitis of the lung', 'UNSUPPORTED_JUDGEMENT'],
  ['Stable angina pectoris.', 'Unstable angina pectoris', 'UNSUPPORTED_JUDGEMENT'],
  ['The cough is better.', 'Cough for two weeks', 'UNSUPPORTED_JUDGEMENT'],
  ['Asthma caused by her work in a bakery and tobacco smoke.', 'Asthma', 'UNSUPPORTED_STATEMENT'],
  ['She will follow up.', 'Asthma', 'UNSUPPORTED_STATEMENT'],
])('%j from %j is dropped', (text, said, expected) => {
  expect(reason(text, said)).toBe(expected);
});

test.each([
  ['Potassium was elevated.', 'Observation: Potassium\nValue: 6.1 mmol/L\nInterpretation: H'],
  ['Potassium was elevated.', 'Observation: Potassium\nValue: 6.1 mmol/L\nInterpretation: High'],
  ['Abnormal potassium of 6.1 mmol/L.', 'Observation: Potassium\nValue: 6.1 mmol/L\nInterpretation: High'],
  ['Type 2 diabetes mellitus, diagnosed in 2019.', 'Condition: Type 2 diabetes mellitus\nOnset: 2019'],
  ['The patient is a 45-year-old woman with asthma.', 'Age: 45 years\nGender: woman\nAsthma'],
  ['Type 2 diabetes is well controlled.', 'Well-controlled type 2 diabetes'],
  ['Fracture of the left wrist.', 'Left wrist fracture'],
  ['The cough has improved.', 'Cough: improving since Monday'],
  ['Cough for two weeks.', 'Patient reports cough for two weeks.'],
])('%j from %j stays', (text, said) => {
  expect(reason(text, said)).toBeUndefined();
});

test('an interpretation code is no word of the text', () => {
  expect(reason('Potassium was elevated.', 'Observation: Potassium H plasma')).toBe('UNSUPPORTED_JUDGEMENT');
});

test('takes no long time for any sentence', () => {
  const started = performance.now();
  reason('clear '.repeat(200).slice(0, 1_000), 'lungs a b c clear '.repeat(3_000));
  reason(`chest ${'a '.repeat(490)}`, 'x'.repeat(48_000));
  expect(performance.now() - started).toBeLessThan(500);
});
