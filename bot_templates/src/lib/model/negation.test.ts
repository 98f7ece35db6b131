import { costOf } from '../../../test/support/cost.ts';
import { expect, test } from 'vitest';
import { mismatchedNegation } from './negation.ts';

test.each([
  ['Denies chest pain.', 'Patient denies chest pain.'],
  ['No chest pain.', 'Chest pain: no'],
  ['There is no fever or cough.', 'No fever, chills or cough.'],
  ['Troponin was negative.', 'Troponin negative on arrival.'],
  ['No known allergies.', 'Allergy: No known allergies'],
  ['Reports cough.', 'Denies fever but reports cough.'],
  ['Reports cough.', 'Denies fever and has cough.'],
  ['The patient is a non-smoker.', 'Non-smoker.'],
  ['Fever is absent.', 'Cough present, fever absent.'],
  ['Cough is present.', 'Cough present, fever absent.'],
  ["Doesn't smoke.", 'Does not smoke'],
  ['Asthma with nocturnal wheezing.', 'Bronchial asthma with nocturnal wheezing'],
])('%j agrees with %j', (sentence, source) => {
  expect(mismatchedNegation(sentence, source)).toBe(false);
});

test.each([
  ['Denies chest pain.', 'Reports chest pain.'],
  ['Denies chest pain.', 'Reports cough.'],
  ['No chest pain or palpitations.', 'No chest pain.'],
  ['Reports chest pain.', 'Denies chest pain.'],
  ['Fever for two days.', 'Cough present, fever absent.'],
  ['Troponin was elevated.', 'Troponin negative.'],
  ['The patient smokes.', 'Does not smoke.'],
  ['Without cough.', 'Fever: none. Cough for a week.'],
  ["Doesn't take insulin.", 'Takes insulin.'],
])('%j says the opposite of %j, or denies what nobody denied', (sentence, source) => {
  expect(mismatchedNegation(sentence, source)).toBe(true);
});

test('takes no long time for any text', () => {
  expect(costOf(() => mismatchedNegation('no, '.repeat(20_000), `and ${' '.repeat(50_000)}has ${'not '.repeat(20_000)}`))).toBeLessThan(2_000);
});
