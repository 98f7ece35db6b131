import type { AllergyIntolerance } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { allergensOf, allergyConflictsOf } from './allergies.ts';
import { Ingredients } from './ingredients.ts';
import type { Taken } from './medications.ts';
import { shippedRules } from './rules.ts';

const rules = shippedRules();
const ingredients = new Ingredients(rules);

function allergy(text: string, more: Partial<AllergyIntolerance> = {}): AllergyIntolerance {
  return { resourceType: 'AllergyIntolerance', id: 'x', patient: { reference: 'Patient/p' }, code: { text }, ...more };
}

function taken(text: string): Taken {
  return {
    reference: `MedicationRequest/${text}`,
    resourceType: 'MedicationRequest',
    ...ingredients.ofConcept({ text }),
    product: text,
    links: [],
  };
}

function conflicts(allergies: AllergyIntolerance[], ...drugs: string[]) {
  const allergens = allergensOf(allergies, rules.allergies, ingredients);
  return allergyConflictsOf(drugs.map(taken), allergens, rules.allergies, ingredients);
}

describe('allergy conflicts', () => {
  test.each([
    ['Penicillin', 'Amoxicillin', 'high', false],
    ['Allergy to penicillin', 'Augmentin', 'high', false],
    ['Amoxicillin', 'Amoxicillin 500 mg', 'high', false],
    ['Amoxicillin', 'Penicillin V', 'high', true],
    ['Amoxicillin', 'Cephalexin', 'moderate', true],
    ['Penicillin', 'Ceftriaxone', 'moderate', true],
    ['Penicillin', 'Meropenem', 'low', true],
    ['Beta-lactams', 'Cefepime', 'high', false],
    ['Sulfa drugs', 'co-trimoxazole', 'high', false],
    ['Bactrim', 'Sulfadiazine', 'high', true],
    ['Sulfonamides', 'Furosemide', 'low', true],
    ['NSAIDs', 'Naproxen', 'high', false],
    ['Aspirin', 'Ibuprofen', 'high', true],
    ['Lisinopril', 'Entresto', 'high', true],
    ['Codeine', 'Morphine', 'moderate', true],
  ])('%s and %s: %s', (allergen, drug, severity, crossReactive) => {
    expect(conflicts([allergy(allergen)], drug)[0]).toMatchObject({ kind: 'ALGY', severity, crossReactive });
  });

  test.each([
    ['Penicillin', 'Azithromycin'],
    ['Amoxicillin', 'Metformin'],
    ['Codeine', 'Acetaminophen'],
    ['Peanuts', 'Penicillin V'],
    ['No known penicillin allergy', 'Amoxicillin'],
    ['NKDA', 'Amoxicillin'],
    ['Denies allergy to penicillin', 'Amoxicillin'],
  ])('%s and %s: none', (allergen, drug) => {
    expect(conflicts([allergy(allergen)], drug)).toEqual([]);
  });

  test('an allergy to one penicillin is none to every beta-lactam', () => {
    expect(conflicts([allergy('Amoxicillin')], 'Cefepime')).toMatchObject([{ severity: 'moderate' }]);
  });

  test('codes of RxNorm and SNOMED CT are known', () => {
    const coding = (system: string, code: string) => allergy('', { code: { coding: [{ system, code }] } });
    expect(conflicts([coding('http://snomed.info/sct', '91936005')], 'Amoxicillin')).toHaveLength(1);
    expect(conflicts([coding('http://www.nlm.nih.gov/research/umls/rxnorm', '723')], 'Amoxicillin')).toHaveLength(1);
    expect(conflicts([coding('http://snomed.info/sct', '716186003')], 'Amoxicillin')).toEqual([]);
  });

  test('the substance of a reaction counts', () => {
    const reaction = [{ substance: { text: 'Ibuprofen' }, manifestation: [{ text: 'Wheeze' }] }];
    expect(conflicts([allergy('Painkillers', { reaction })], 'Naproxen')).toHaveLength(1);
  });

  test('an intolerance is less grave than an allergy', () => {
    expect(conflicts([allergy('Amoxicillin', { type: 'intolerance' })], 'Amoxicillin')).toMatchObject([
      { severity: 'moderate' },
    ]);
  });

  test('several records of one allergy are one finding that names them all', () => {
    const found = conflicts([allergy('Penicillin', { id: 'a' }), allergy('Amoxicillin', { id: 'b' })], 'Amoxicillin');
    expect(found).toMatchObject([
      {
        implicated: ['AllergyIntolerance/a', 'AllergyIntolerance/b', 'MedicationRequest/Amoxicillin'],
        crossReactive: false,
      },
    ]);
  });

  test('what is not known is told for drugs, and not for food', () => {
    const of = (each: AllergyIntolerance) => allergensOf([each], rules.allergies, ingredients)[0]?.unrecognised;
    expect(of(allergy('Zyxomab'))).toBe(true);
    expect(of(allergy('Zyxomab', { category: ['medication'] }))).toBe(true);
    expect(of(allergy('Peanuts', { category: ['food'] }))).toBe(false);
    expect(of(allergy('Amoxicillin'))).toBe(false);
  });
});
