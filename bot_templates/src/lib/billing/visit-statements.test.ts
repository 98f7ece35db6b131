import { describe, expect, test } from 'vitest';
import { visitStatements } from './visit-statements.ts';

describe('Minutes', () => {
  test.each([
    ['Total time on the date of the encounter: 32 minutes.', [32]],
    ['Total time spent 32 min', [32]],
    ['I spent 25 minutes with the patient and the record.', [25]],
    ['I personally spent a total of 45 mins today.', [45]],
    ['Total time: 30-39 minutes.', [30]],
    ['Total time: 30 to 39 minutes.', [30]],
    ['Total time: 40 minutes, of which 15 minutes face to face.', [15]],
    ['Total time 20 minutes. Total time 40 minutes.', [20, 40]],
  ])('%s', (note, minutes) => {
    expect(visitStatements(note)).toMatchObject({ minutes, unclearTime: false });
  });

  test.each([
    'Total time approximately 30 minutes.',
    'Total time: about 30 minutes.',
    'Total time less than 20 minutes.',
    'Total time was not 40 minutes.',
    'Total time 1 hour 10 minutes.',
    'Total time in the operating room: 120 minutes.',
    'Total time of anesthesia 90 minutes.',
    'Total time: ~30 minutes',
    'Total time 40 minutes including nursing time.',
    'Total time: 40.',
  ])('unclear: %s', (note) => {
    expect(visitStatements(note)).toMatchObject({ minutes: [], unclearTime: true });
  });

  test.each([
    'Walks 30 minutes a day.',
    'Chest pain for 45 minutes.',
    'Tourniquet 45 minutes.',
    'No total time stated.',
  ])('none: %s', (note) => {
    expect(visitStatements(note)).toMatchObject({ minutes: [], unclearTime: false });
  });
});

describe('Medical decision making', () => {
  test.each([
    ['MDM: moderate.', ['moderate']],
    ['Medical decision making of high complexity.', ['high']],
    ['Moderate complexity medical decision-making.', ['moderate']],
    ['MDM low to moderate', ['low']],
    ['MDM straightforward', ['straightforward']],
    ['MDM: high. MDM: low.', ['high', 'low']],
    ['High risk of falls.', []],
    ['MDM is not high.', []],
    ['MDM would be high if admitted.', []],
    ['Please bill MDM high.', []],
    ['MDM discussed.', []],
  ])('%s', (note, decisions) => {
    expect(visitStatements(note).decisions).toEqual(decisions);
  });
});

test.each([
  ['New patient visit.', ['new']],
  ['Established patient, follow-up.', ['established']],
  ['New patient. Established patient.', ['new', 'established']],
  ['A new patient portal was shown.', ['new']],
  ['Follow-up.', []],
])('%s', (note, statuses) => {
  expect(visitStatements(note).statuses).toEqual(statuses);
});
