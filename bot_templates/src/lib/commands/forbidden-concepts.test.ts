import { describe, expect, test } from 'vitest';
import { touchesAllergies, touchesCodeStatus } from './forbidden-concepts.ts';

const ICD = 'http://hl7.org/fhir/sid/icd-10-cm';
const SNOMED = 'http://snomed.info/sct';

describe('an allergy', () => {
  test.each([
    'Penicillin allergy',
    'No known drug allergies',
    'NKDA',
    'Allergic to penicillin',
    'Allergic reaction to contrast medium',
    'Hypersensitivity to penicillin',
    'Penicillin hypersensitivity',
    'Statin intolerance',
    'Anaphylaxis',
    'Adverse reaction to ibuprofen',
  ])('is known by its words: %s', (text) => {
    expect(touchesAllergies({ text })).toBe(true);
    expect(touchesAllergies({ coding: [{ display: text }] })).toBe(true);
  });

  test.each([
    [ICD, 'Z88.0'],
    [ICD, 'z91.010'],
    [ICD, 'T78.01XA'],
    [SNOMED, '91936005'],
  ])('is known by its code: %s %s', (system, code) => {
    expect(touchesAllergies({ coding: [{ system, code, display: 'Something else' }] })).toBe(true);
  });

  test.each(['Allergic rhinitis', 'Allergic asthma', 'Hypersensitivity pneumonitis', 'Lactose intolerance', 'Heat intolerance'])(
    'is no disease that is allergic: %s',
    (text) => {
      expect(touchesAllergies({ text })).toBe(false);
    }
  );
});

describe('code status', () => {
  test.each([
    'Do not resuscitate',
    'DNR',
    'DNAR',
    'DNACPR',
    'No CPR',
    'Not for resus',
    'Full code',
    'No code',
    'Limited code',
    'Comfort care only',
    'Palliative care',
    'Hospice',
    'Withdrawal of life support',
    'No life-sustaining treatment',
    'No intubation',
    'Do not intubate',
    'Living will on file',
    'POLST',
  ])('is known by its words: %s', (text) => {
    expect(touchesCodeStatus({ text })).toBe(true);
  });

  test.each(['Z66', 'Z51.5'])('is known by its code: %s', (code) => {
    expect(touchesCodeStatus({ coding: [{ system: ICD, code }] })).toBe(true);
  });

  test.each(['Hypertension', 'Respiratory failure', 'Cardiac arrest', 'Difficult intubation', 'Codeine dependence'])('is no other problem: %s', (text) => {
    expect(touchesCodeStatus({ text })).toBe(false);
  });
});
