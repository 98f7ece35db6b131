import type { AllergyIntolerance, MedicationRequest, Observation } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { allergyLine, lineText, medicationLine, observationLine } from './line.ts';

const subject = { reference: 'Patient/1' };

describe('a result in a line', () => {
  const result: Observation = {
    resourceType: 'Observation',
    id: '1',
    status: 'final',
    subject,
    code: { text: 'Potassium', coding: [{ system: 'http://loinc.org', code: '2823-3' }] },
    valueQuantity: { value: 5.9, unit: 'mmol/L', comparator: '>=' },
    interpretation: [{ coding: [{ code: 'H', display: 'High' }] }],
    referenceRange: [{ low: { value: 3.5, unit: 'mmol/L' }, high: { value: 5.1, unit: 'mmol/L' } }],
    effectiveDateTime: '2024-05-01T08:30:00+02:00',
  };

  test('has value, comparator, unit, flag, range and time as the record has them', () => {
    expect(lineText(observationLine(result, true))).toBe(
      'Potassium (LOINC 2823-3): >= 5.9 mmol/L; High; reference range 3.5 mmol/L to 5.1 mmol/L; ' +
        '2024-05-01T08:30:00+02:00'
    );
  });

  test('of another encounter, not final or without a date, says so', () => {
    const { effectiveDateTime: _date, ...undated } = result;
    const text = lineText(observationLine({ ...undated, status: 'preliminary' }, false));
    expect(text).toMatch(/status preliminary; without a date; not of this encounter$/);
  });

  test('has its components, and why a value is missing', () => {
    const { valueQuantity: _value, ...none } = result;
    const pressure: Observation = {
      ...none,
      dataAbsentReason: { text: 'refused' },
      component: [{ code: { text: 'Systolic' }, valueQuantity: { value: 148, unit: 'mmHg' } }],
    };
    expect(observationLine(pressure, true).says).toContain('no value: refused');
    expect(observationLine(pressure, true).says).toContain('Systolic 148 mmHg');
  });

  test('is one line, without characters that reorder what is seen', () => {
    const line = observationLine({ ...result, code: { text: 'Potassium\n\nPLAN\u202e\u2028: none' } }, true);
    expect(line.name).toBe('Potassium PLAN : none');
  });

  test('that is too long is not cut, but left to the record', () => {
    const { valueQuantity: _value, ...none } = result;
    const line = observationLine({ ...none, valueString: 'x'.repeat(700) }, true);
    expect(line.says).toBe('too long to be shown here, see Observation/1');
  });
});

describe('a medicine in a line', () => {
  const request: MedicationRequest = {
    resourceType: 'MedicationRequest',
    id: '1',
    status: 'active',
    intent: 'order',
    subject,
    medicationCodeableConcept: { text: 'Metformin 500 mg' },
    dosageInstruction: [{ text: 'one tablet twice daily' }],
    authoredOn: '2024-01-02',
  };

  test('has dosage, status and date', () => {
    expect(lineText(medicationLine(request, new Map()))).toBe(
      'Metformin 500 mg: one tablet twice daily; ordered, active; 2024-01-02'
    );
  });

  test('that must not be given says so first', () => {
    const line = medicationLine({ ...request, doNotPerform: true }, new Map());
    expect(line.name).toBe('NOT to be given: Metformin 500 mg');
  });

  test('that is only proposed does not read like an order', () => {
    expect(medicationLine({ ...request, intent: 'proposal' }, new Map()).says).toContain('proposal, not an order');
  });

  test('whose name cannot be read is listed without one', () => {
    const { medicationCodeableConcept: _name, ...nameless } = request;
    const line = medicationLine({ ...nameless, medicationReference: { reference: 'Medication/9' } }, new Map());
    expect(line.name).toBe('Medication whose name is not in the record or not readable');
  });
});

test('an allergy in a line has criticality, reaction and certainty', () => {
  const allergy: AllergyIntolerance = {
    resourceType: 'AllergyIntolerance',
    id: '1',
    patient: subject,
    code: { text: 'Penicillin' },
    criticality: 'high',
    reaction: [{ manifestation: [{ text: 'Hives' }], severity: 'moderate' }],
    verificationStatus: { text: 'Unconfirmed' },
    recordedDate: '2019',
  };
  expect(lineText(allergyLine(allergy))).toBe(
    'Penicillin: criticality high; reaction Hives, moderate; Unconfirmed; 2019'
  );
});
