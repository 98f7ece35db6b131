import type { Observation } from '@medplum/fhirtypes';
import { expect, test } from 'vitest';
import { selectObservations } from './select-observations.ts';

const HERE = 'Encounter/here';
const observation = (id: string, code: string, date: string | undefined, encounter?: string): Observation => ({
  resourceType: 'Observation',
  id,
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code }] },
  ...(date === undefined ? {} : { effectiveDateTime: date }),
  ...(encounter === undefined ? {} : { encounter: { reference: encounter } }),
});
const ids = (selection: { chosen: Observation[] }) => selection.chosen.map(({ id }) => id);

test('the newest five of a code within the encounter are shown, and the others counted', () => {
  const series = ['1', '2', '3', '4', '5', '6', '7'].map((day) => observation(day, '8867-4', `2024-05-0${day}`, HERE));
  const selection = selectObservations(series, [], HERE);
  expect(ids(selection)).toEqual(['7', '6', '5', '4', '3']);
  expect(selection.earlier).toBe(2);
});

test('of a code that the encounter has not, the newest is shown', () => {
  const older = observation('old', '4548-4', '2023-01-01');
  const newer = observation('new', '4548-4', '2024-01-01', 'Encounter/other');
  expect(ids(selectObservations([], [older, newer], HERE))).toEqual(['new']);
});

test('a newer value of another encounter stands beside those of this one', () => {
  const own = observation('own', '4548-4', '2024-01-01', HERE);
  const later = observation('later', '4548-4', '2024-02-01');
  expect(ids(selectObservations([own], [later, own], HERE))).toEqual(['later', 'own']);
});

test('time zones are honoured, and what has no date is the oldest', () => {
  const dated = observation('dated', '1', '2024-05-01T23:30:00-05:00');
  const earlier = observation('earlier', '1', '2024-05-02T01:00:00Z');
  const undated = observation('undated', '1', undefined);
  expect(ids(selectObservations([], [undated, earlier, dated], HERE))).toEqual(['dated']);
});

test('a result without a code stands for itself', () => {
  const bare = (id: string): Observation => ({ resourceType: 'Observation', id, status: 'final', code: {} });
  expect(ids(selectObservations([], [bare('1'), bare('2')], HERE))).toEqual(['1', '2']);
});

test('the order of the search changes nothing', () => {
  const some = ['3', '1', '2'].map((id) => observation(id, id, '2024-05-01', HERE));
  expect(ids(selectObservations(some, [], HERE))).toEqual(ids(selectObservations([...some].reverse(), [], HERE)));
});
