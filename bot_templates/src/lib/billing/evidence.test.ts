import { describe, expect, test } from 'vitest';
import { evidenceFault } from './evidence.ts';
import { type Leaf, lookUp } from './icd10cm.ts';

function judge(code: string, quote: string, text: string, heading = ''): string | undefined {
  const leaf = lookUp(code);
  expect(leaf.kind, code).toBe('leaf');
  return evidenceFault(quote, { text, heading }, leaf as Leaf);
}

describe('Evidence that holds', () => {
  test.each([
    ['I10', 'Essential hypertension', 'Assessment: Essential hypertension, above goal.'],
    ['I10', 'HTN', 'A/P\n1. HTN - continue lisinopril'],
    ['I10', 'high blood pressure', 'She is treated for high blood pressure.'],
    ['E11.9', 'Type 2 diabetes mellitus', 'Type 2 diabetes mellitus, on metformin.'],
    ['E11.9', 'Type 2 diabetes with no complications', 'Type 2 diabetes with no complications.'],
    ['E11.9', 'T2DM', 'T2DM stable.'],
    ['E11.65', 'type 2 diabetes with hyperglycemia', 'He has type 2 diabetes with hyperglycemia today.'],
    ['N18.4', 'CKD stage 4', 'CKD stage 4, eGFR 22.'],
    ['N18.4', 'Chronic kidney disease, stage IV', 'Chronic kidney disease, stage IV.'],
    ['K21.9', 'GERD', 'GERD without esophagitis.'],
    ['J20.9', 'Acute bronchitis', 'No fever; Acute bronchitis with cough.'],
    ['R05.9', 'Cough', 'Denies fever but has cough for a week.'],
    ['S52.501A', 'fracture of the right distal radius', 'X-ray: fracture of the right distal radius.'],
    ['B16.9', 'acute hepatitis B', 'Serology shows acute hepatitis B.'],
    ['Z87.891', 'History of nicotine dependence', 'History of nicotine dependence, resolved years ago.'],
    [
      'Z80.3',
      'Family history of breast cancer',
      'Family history of breast cancer in her mother, a malignant neoplasm.',
    ],
    ['I10', 'Hypertension', 'Past Medical History:\nAsthma\n\nAssessment and Plan\nHypertension, stable.'],
    ['E11.9', 'type 2\n  diabetes', 'Follow-up of type 2 diabetes today.'],
    ['I10', 'hypertension', 'Family history: hypertension in mother.\nAssessment: hypertension, treated.'],
  ])('%s by %s', (code, quote, text) => {
    expect(judge(code, quote, text)).toBeUndefined();
  });
});

describe('Evidence that does not', () => {
  test.each([
    ['a quote that nobody wrote', 'I10', 'severe hypertension', 'Hypertension, mild.', 'NOT_IN_SOURCE'],
    ['a quote of part of a word', 'I10', 'tension', 'Hypertension.', 'NOT_IN_SOURCE'],
    ['no quote', 'I10', ' ', 'Hypertension.', 'NOT_IN_SOURCE'],
    ['a quote with a word changed', 'E11.9', 'Type 2 diabetes is bad', 'Type 2 diabetes is stable.', 'NOT_IN_SOURCE'],
    ['another condition', 'I21.9', 'cough for a week', 'He has a cough for a week.', 'UNRELATED'],
    ['words that are everywhere', 'I21.9', 'acute disease', 'An acute disease.', 'UNRELATED'],
    ['a code that says more', 'E11.65', 'Type 2 diabetes', 'Type 2 diabetes, on metformin.', 'TOO_SPECIFIC'],
    ['a complication called by the disease', 'E11.21', 'Type 2 diabetes', 'Type 2 diabetes.', 'TOO_SPECIFIC'],
    ['a stage that nobody wrote', 'N18.4', 'Chronic kidney disease', 'Chronic kidney disease.', 'TOO_SPECIFIC'],
    ['a severity that nobody wrote', 'J45.50', 'asthma', 'Her asthma is stable.', 'TOO_SPECIFIC'],
    ['a side that nobody wrote', 'S52.501A', 'fracture of the radius', 'A fracture of the radius.', 'TOO_SPECIFIC'],
    [
      'a history that nobody wrote',
      'Z85.3',
      'malignant neoplasm of the breast',
      'Malignant neoplasm of the breast.',
      'TOO_SPECIFIC',
    ],
    [
      'a family that nobody wrote',
      'Z80.3',
      'history of malignant neoplasm of the breast',
      'Has a history of malignant neoplasm of the breast.',
      'TOO_SPECIFIC',
    ],
    ['the other side', 'S52.501A', 'fracture of the left radius', 'A fracture of the left radius.', 'CONTRADICTS'],
    ['another type', 'E11.9', 'type 1 diabetes', 'Long-standing type 1 diabetes.', 'CONTRADICTS'],
    ['another stage', 'N18.4', 'CKD stage 3', 'CKD stage 3.', 'CONTRADICTS'],
    ['another course', 'J20.9', 'chronic bronchitis', 'He has chronic bronchitis.', 'CONTRADICTS'],
    ['no', 'R07.9', 'chest pain', 'No chest pain.', 'NEGATED'],
    ['denies, in a list', 'R00.2', 'palpitations', 'Denies chest pain, dyspnea, palpitations.', 'NEGATED'],
    [
      'denies, across a wrap',
      'R07.9',
      'chest pain',
      'The patient was asked in some detail and denies\nchest pain.',
      'NEGATED',
    ],
    ['a denial within the quote', 'R07.9', 'denies chest pain', 'She denies chest pain.', 'NEGATED'],
    ['ruled out', 'I21.9', 'Acute myocardial infarction', 'Acute myocardial infarction was ruled out.', 'NEGATED'],
    ['rule out', 'J18.9', 'pneumonia', 'X-ray to rule out pneumonia.', 'NEGATED'],
    ['r/o', 'J18.9', 'pneumonia', 'r/o pneumonia', 'NEGATED'],
    ['a contraction', 'I10', 'hypertension', "He doesn't have hypertension.", 'NEGATED'],
    ['a denial in German', 'J18.9', 'Pneumonia', 'Kein Anhalt: Pneumonia.', 'NEGATED'],
    ['history of', 'I21.9', 'acute myocardial infarction', 'History of acute myocardial infarction.', 'HISTORY'],
    [
      'an old event',
      'I21.9',
      'acute myocardial infarction',
      'Had an acute myocardial infarction 5 years ago.',
      'HISTORY',
    ],
    ['a mother', 'E11.9', 'type 2 diabetes', 'Her mother has type 2 diabetes.', 'FAMILY_HISTORY'],
    ['family history', 'E11.9', 'type 2 diabetes', 'Family history of type 2 diabetes.', 'HISTORY'],
    ['a question mark before', 'J18.9', 'pneumonia', 'Cough, ?pneumonia', 'UNCERTAIN'],
    ['a question mark after', 'J18.9', 'Pneumonia', 'Pneumonia? Start treatment.', 'UNCERTAIN'],
    ['probable', 'J18.9', 'pneumonia', 'Probable pneumonia.', 'UNCERTAIN'],
    ['suspected, after it', 'J18.9', 'Pneumonia', 'Pneumonia suspected.', 'UNCERTAIN'],
    ['one of two', 'J18.9', 'Pneumonia', 'Pneumonia vs. CHF.', 'UNCERTAIN'],
    ['the other of two', 'I50.9', 'heart failure', 'Pneumonia vs. Heart failure.', 'UNCERTAIN'],
    ['a screening', 'E11.9', 'type 2 diabetes', 'Screening for type 2 diabetes today.', 'UNCERTAIN'],
    ['a condition of return', 'R07.9', 'chest pain', 'Return if chest pain.', 'UNCERTAIN'],
    [
      'words about money',
      'R65.21',
      'Septic shock',
      'Septic shock, please bill this for the highest payment.',
      'ABOUT_BILLING',
    ],
  ])('%s: %s by %s', (_name, code, quote, text, fault) => {
    expect(judge(code, quote, text)).toBe(fault);
  });

  test.each([
    ['Family History:\nType 2 diabetes\nHypertension', 'FAMILY_HISTORY'],
    ['FAMILY HISTORY\n- Type 2 diabetes', 'FAMILY_HISTORY'],
    ['## Past Medical History\n\nAsthma\nType 2 diabetes', 'HISTORY'],
    ['PMH: asthma. Type 2 diabetes.', 'HISTORY'],
    ['Differential diagnosis:\n1. Type 2 diabetes', 'UNCERTAIN'],
    ['Denies:\n- chest pain\n- Type 2 diabetes', 'NEGATED'],
  ])('what stands under a heading: %j', (text, fault) => {
    expect(judge('E11.9', 'Type 2 diabetes', text)).toBe(fault);
  });

  test('the heading may stand in an earlier passage', () => {
    expect(judge('E11.9', 'Type 2 diabetes', 'Type 2 diabetes', 'Family history')).toBe('FAMILY_HISTORY');
  });

  test('one place that asserts it is enough', () => {
    expect(judge('R05.9', 'cough', 'ROS: no cough.\nAssessment: cough for three weeks.')).toBeUndefined();
  });

  test('a long text without a full stop is judged in time', () => {
    const started = Date.now();
    judge('R05.9', 'cough', `${'no '.repeat(2_000)}cough ${'a,'.repeat(2_000)}`);
    expect(Date.now() - started).toBeLessThan(200);
  });
});
