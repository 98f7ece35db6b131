import type { Condition, DiagnosticReport, Immunization, Observation, Patient, Procedure } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { type PreventiveRecord, recommendationsFor } from './preventive.ts';
import { shippedRules } from './rules.ts';

const { preventive, needs } = shippedRules();
const TODAY = new Date('2026-11-26T12:00:00Z');
const subject = { reference: 'Patient/p' };
const coded = (system: string, code: string) => ({ coding: [{ system, code }] });
const [LOINC, SNOMED, CVX, ICD] = [
  'http://loinc.org',
  'http://snomed.info/sct',
  'http://hl7.org/fhir/sid/cvx',
  'http://hl7.org/fhir/sid/icd-10-cm',
];

const patient = (more: Partial<Patient> = {}): Patient => ({
  resourceType: 'Patient',
  id: 'p',
  birthDate: '1966-05-01',
  gender: 'female',
  ...more,
});
const procedure = (code: string, performedDateTime: string, more: Partial<Procedure> = {}): Procedure => ({
  resourceType: 'Procedure',
  id: 'proc',
  status: 'completed',
  subject,
  code: coded(SNOMED, code),
  performedDateTime,
  ...more,
});
const observation = (code: string, effectiveDateTime: string, more: Partial<Observation> = {}): Observation => ({
  resourceType: 'Observation',
  id: 'obs',
  status: 'final',
  subject,
  code: coded(LOINC, code),
  effectiveDateTime,
  valueQuantity: { value: 7 },
  ...more,
});
const shot = (code: string, occurrenceDateTime: string, more: Partial<Immunization> = {}): Immunization => ({
  resourceType: 'Immunization',
  id: `imm-${occurrenceDateTime}`,
  status: 'completed',
  patient: subject,
  vaccineCode: coded(CVX, code),
  occurrenceDateTime,
  ...more,
});
const condition = (system: string, code: string): Condition => ({
  resourceType: 'Condition',
  subject,
  code: coded(system, code),
});
const report = (code: string, effectiveDateTime: string): DiagnosticReport => ({
  resourceType: 'DiagnosticReport',
  id: 'rep',
  status: 'final',
  subject,
  code: coded(LOINC, code),
  effectiveDateTime,
});

function statusOf(rule: string, record: Partial<PreventiveRecord>) {
  const whole = {
    patient: patient(),
    conditions: [],
    procedures: [],
    observations: [],
    immunizations: [],
    reports: [],
    ...record,
  };
  const found = recommendationsFor(whole, preventive, needs, TODAY).find((each) => each.rule === rule);
  return found && [found.status, found.lastDone].filter((each) => each !== undefined).join(' ');
}

describe('recommendations', () => {
  test.each([
    [
      'colonoscopy 9 years ago',
      'colorectal-cancer',
      { procedures: [procedure('73761001', '2017-12-01')] },
      'up-to-date 2017-12-01',
    ],
    [
      'colonoscopy 11 years ago',
      'colorectal-cancer',
      { procedures: [procedure('73761001', '2015-11-01')] },
      'due 2015-11-01',
    ],
    [
      'colonoscopy not done',
      'colorectal-cancer',
      { procedures: [procedure('73761001', '2024-01-01', { status: 'not-done' })] },
      'due',
    ],
    [
      'FIT half a year ago',
      'colorectal-cancer',
      { observations: [observation('29771-3', '2026-05-01')] },
      'up-to-date 2026-05-01',
    ],
    [
      'FIT without a value',
      'colorectal-cancer',
      {
        observations: [observation('29771-3', '2026-05-01', { valueQuantity: undefined as never })].map(
          ({ valueQuantity: _, ...rest }) => rest as Observation
        ),
      },
      'due',
    ],
    ['mammography by report', 'breast-cancer', { reports: [report('24606-6', '2025-06')] }, 'up-to-date 2025-06'],
    ['mammography 3 years ago', 'breast-cancer', { reports: [report('24606-6', '2023-06-01')] }, 'due 2023-06-01'],
    [
      'influenza this autumn',
      'influenza-vaccine',
      { immunizations: [shot('150', '2026-10-01')] },
      'up-to-date 2026-10-01',
    ],
    [
      'influenza not done',
      'influenza-vaccine',
      { immunizations: [shot('150', '2026-10-01', { status: 'not-done' })] },
      'due',
    ],
    ['one dose of zoster vaccine', 'zoster-vaccine', { immunizations: [shot('187', '2020-01-01')] }, 'due 2020-01-01'],
    [
      'two doses of zoster vaccine',
      'zoster-vaccine',
      { immunizations: [shot('187', '2020-01-01'), shot('187', '2020-06-01')] },
      'up-to-date 2020-06-01',
    ],
    ['PCV20', 'pneumococcal-vaccine', { immunizations: [shot('216', '2024-01-01')] }, 'up-to-date 2024-01-01'],
    ['PPSV23 alone', 'pneumococcal-vaccine', { immunizations: [shot('33', '2024-01-01')] }, 'due'],
    ['diabetes without HbA1c', 'diabetes-hba1c', { conditions: [condition(ICD, 'E11.9')] }, 'due'],
    [
      'diabetes with HbA1c of spring',
      'diabetes-hba1c',
      { conditions: [condition(SNOMED, '44054006')], observations: [observation('4548-4', '2026-07-01')] },
      'up-to-date 2026-07-01',
    ],
    [
      'diabetes by ICD-10',
      'diabetes-hba1c',
      { conditions: [condition('http://hl7.org/fhir/sid/icd-10', 'E11')] },
      'due',
    ],
    ['no diabetes', 'diabetes-hba1c', {}, undefined],
    ['lipids 6 years ago', 'lipids', { observations: [observation('2093-3', '2020-01-01')] }, 'due 2020-01-01'],
    ['breast cancer in the past', 'breast-cancer', { conditions: [condition(ICD, 'Z85.3')] }, undefined],
    ['total hysterectomy', 'cervical-cancer', { procedures: [procedure('116140006', '2010-01-01')] }, undefined],
    ['a hysterectomy that may have left the cervix', 'cervical-cancer', { procedures: [procedure('236886002', '2010-01-01')] }, 'due'],
    ['a man', 'breast-cancer', { patient: patient({ gender: 'male' }) }, undefined],
    ['too young', 'colorectal-cancer', { patient: patient({ birthDate: '1990-01-01' }) }, undefined],
    ['too old', 'colorectal-cancer', { patient: patient({ birthDate: '1940-01-01' }) }, undefined],
    ['the birthday is tomorrow', 'colorectal-cancer', { patient: patient({ birthDate: '1981-11-27' }) }, undefined],
    [
      'no birth date',
      'colorectal-cancer',
      { patient: { resourceType: 'Patient', id: 'p', gender: 'female' } as Patient },
      'unknown',
    ],
    [
      'no sex',
      'breast-cancer',
      { patient: { resourceType: 'Patient', id: 'p', birthDate: '1966-05-01' } as Patient },
      'unknown',
    ],
    ['dead', 'colorectal-cancer', { patient: patient({ deceasedBoolean: true }) }, undefined],
  ] satisfies [string, string, Partial<PreventiveRecord>, string | undefined][])(
    '%s',
    (_name, rule, record, expected) => {
      expect(statusOf(rule, record)).toBe(expected);
    }
  );

  test('aortic aneurysm: only a man who smoked', () => {
    const man = patient({ gender: 'male', birthDate: '1958-01-01' });
    const smoker = observation('72166-2', '2024-01-01', { valueCodeableConcept: coded(SNOMED, '8517006') });
    const never = observation('72166-2', '2024-01-01', { valueCodeableConcept: coded(SNOMED, '266919005') });
    expect(statusOf('aortic-aneurysm', { patient: man, observations: [smoker] })).toBe('due');
    expect(statusOf('aortic-aneurysm', { patient: man, observations: [never] })).toBeUndefined();
    expect(statusOf('aortic-aneurysm', { observations: [smoker] })).toBeUndefined();
  });

  test('every recommendation carries its source and date', () => {
    const whole = {
      patient: patient(),
      conditions: [],
      procedures: [],
      observations: [],
      immunizations: [],
      reports: [],
    };
    for (const { source } of recommendationsFor(whole, preventive, needs, TODAY)) {
      expect(source).toMatchObject({ name: expect.any(String), date: expect.stringMatching(/^\d{4}-\d{2}-\d{2}$/) });
    }
  });
});
