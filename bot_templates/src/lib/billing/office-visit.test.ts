import type { Encounter } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import type { EncounterRecord } from './encounter-record.ts';
import { officeVisit } from './office-visit.ts';
import { isVisitLevel, levelByMinutes, visitOf } from './office-visit-levels.ts';

const PRACTITIONER = 'Practitioner/0b0a2f0e-6a4e-4c1b-9b53-30a8e1a4a001';

function record(more: Partial<Encounter> = {}, earlier: Encounter[] = []): EncounterRecord {
  return {
    encounter: {
      resourceType: 'Encounter',
      id: '1',
      status: 'finished',
      class: { code: 'AMB' },
      participant: [{ individual: { reference: PRACTITIONER } }],
      ...more,
    },
    patientId: '2',
    conditions: [{ resourceType: 'Condition', id: '3', subject: {} }],
    procedures: [],
    documents: [],
    otherProblems: [],
    earlierEncounters: earlier,
    warnings: [],
  };
}

const seenBefore = [record().encounter];
const note = (text: string) => [{ reference: 'DocumentReference/4', date: undefined, title: 'Note', text }];
const coded = (...codes: string[]) => codes.map((code) => ({ code, source: 'Procedure/5' }));
const minutes = (value: number, unit = 'min') => ({ length: { value, unit } });

const codes = (found: { codes: { code: string }[] }): string[] => found.codes.map(({ code }) => code);
const gaps = (found: { gaps: { code: string }[] }): string[] => found.gaps.map(({ code }) => code);

describe('The level of an office visit', () => {
  test.each([
    [9, []],
    [10, ['99212']],
    [19, ['99212']],
    [20, ['99213']],
    [29, ['99213']],
    [30, ['99214']],
    [39, ['99214']],
    [40, ['99215']],
    [54, ['99215']],
  ])('%d minutes of an established patient', (value, expected) => {
    expect(codes(officeVisit(record(minutes(value), seenBefore), [], []))).toEqual(expected);
  });

  test.each([
    [14, []],
    [15, ['99202']],
    [30, ['99203']],
    [45, ['99204']],
    [60, ['99205']],
  ])('%d minutes of a new patient', (value, expected) => {
    expect(codes(officeVisit(record(minutes(value)), note('New patient.'), []))).toEqual(expected);
  });

  test.each([
    ['straightforward', '99212'],
    ['low', '99213'],
    ['moderate', '99214'],
    ['high', '99215'],
  ])('decision making: %s', (decisions, code) => {
    expect(codes(officeVisit(record({}, seenBefore), note(`MDM: ${decisions}.`), []))).toEqual([code]);
  });

  test('never the higher of two statements', () => {
    const found = officeVisit(record(minutes(45), seenBefore), note('Total time: 45 minutes. MDM: low.'), []);
    expect(codes(found)).toEqual(['99213']);
    expect(found.warnings).toEqual(['VISIT_LEVELS_DIFFER']);
  });

  test.each([
    ['a higher code of somebody changes nothing', '99215', '99214', ['99215']],
    ['a lower one holds', '99213', '99213', []],
    ['the lowest of all holds', '99211', '99211', []],
  ])('%s', (_name, claimed, suggested, refused) => {
    const found = officeVisit(record(minutes(35), seenBefore), [], coded(claimed));
    expect(codes(found)).toEqual([suggested]);
    expect(codes({ codes: found.refused })).toEqual(refused);
  });

  test.each([
    ['hours are minutes too', minutes(0.5, 'h'), ['99214']],
    ['a unit that nobody knows is none', minutes(35, 'parsec'), []],
    ['a length that is not exact is none', { length: { value: 35, unit: 'min', comparator: '<' as const } }, []],
    [
      'a period is no time of the clinician',
      { period: { start: '2026-03-02T09:00:00Z', end: '2026-03-02T10:00:00Z' } },
      [],
    ],
  ])('%s', (_name, more, expected) => {
    expect(codes(officeVisit(record(more, seenBefore), [], []))).toEqual(expected);
  });

  test('it is for every diagnosis of the visit', () => {
    expect(officeVisit(record(minutes(25), seenBefore), note('x'), []).codes).toMatchObject([
      { reasons: ['Condition/3', 'DocumentReference/4'], evidence: [{ reference: 'Encounter/1' }] },
    ]);
  });

  test.each([
    ['nothing is documented', record({}, seenBefore), note('Doing well.'), 'LEVEL_NOT_DOCUMENTED'],
    ['nobody says whether the patient is new', record(minutes(25)), [], 'PATIENT_STATUS_UNKNOWN'],
    [
      'a note contradicts earlier visits',
      record(minutes(25), seenBefore),
      note('New patient.'),
      'PATIENT_STATUS_UNKNOWN',
    ],
    ['a code contradicts earlier visits', record(minutes(25)), note('New patient.'), 'PATIENT_STATUS_UNKNOWN'],
    ['the time is unclear', record({}, seenBefore), note('Total time about 30 minutes.'), 'TIME_UNCLEAR'],
    ['the time is too short', record(minutes(5), seenBefore), [], 'TIME_TOO_SHORT'],
    [
      'it is no office visit',
      record({ ...minutes(25), class: { code: 'EMER' } }, seenBefore),
      [],
      'VISIT_NOT_IN_OFFICE',
    ],
    ['it has no class', record({ ...minutes(25), class: {} }, seenBefore), [], 'VISIT_NOT_IN_OFFICE'],
  ])('no level where %s', (_name, of, notes, gap) => {
    const found = officeVisit(of, notes, coded('99215'));
    expect(found.codes).toEqual([]);
    expect(gaps(found)).toContain(gap);
    expect(found.refused).toEqual([{ code: '99215', reason: 'LEVEL_NOT_DOCUMENTED', source: 'Procedure/5' }]);
  });

  test('time beyond the highest level is for a coder', () => {
    const found = officeVisit(record(minutes(55), seenBefore), [], []);
    expect(codes(found)).toEqual(['99215']);
    expect(gaps(found)).toEqual(['PROLONGED_VISIT']);
  });

  test('an earlier visit with another clinician proves nothing', () => {
    const earlier = [
      { ...record().encounter, participant: [{ individual: { reference: PRACTITIONER.replace(/1$/, '2') } }] },
    ];
    expect(gaps(officeVisit(record(minutes(25), earlier), [], []))).toEqual(['PATIENT_STATUS_UNKNOWN']);
  });
});

test.each([
  ['99213', true],
  ['99285', true],
  ['99223', true],
  ['99417', true],
  ['99395', false],
  ['93000', false],
  ['0001F', false],
])('%s is the level of a visit: %s', (code, level) => {
  expect(isVisitLevel(code)).toBe(level);
});

test('no minutes, no level', () => {
  expect(levelByMinutes(0, 'established')).toBe(0);
  expect(visitOf('93000')).toBeUndefined();
});
