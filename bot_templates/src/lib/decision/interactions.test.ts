import { describe, expect, test } from 'vitest';
import { Ingredients } from './ingredients.ts';
import { checkDrug } from './interaction-check.ts';
import { interactionsOf } from './interactions.ts';
import type { Taken } from './medications.ts';
import { shippedRules } from './rules.ts';

const rules = shippedRules();
const ingredients = new Ingredients(rules);
let count = 0;

function taken(text: string, more: Partial<Taken> = {}): Taken {
  return {
    reference: `MedicationRequest/${++count}`,
    resourceType: 'MedicationRequest',
    ...ingredients.ofConcept({ text }),
    product: text,
    links: [],
    ...more,
  };
}
const of = (...names: string[]) =>
  interactionsOf(
    names.map((name) => taken(name)),
    rules.interactions,
    ingredients
  );

describe('interactions', () => {
  test.each([
    ['Warfarin 5 mg', 'Aspirin 81 mg', 'warfarin-aspirin', 'high'],
    ['Warfarin', 'Ibuprofen', 'anticoagulant-nsaid', 'high'],
    ['Sertraline', 'Phenelzine', 'ssri-maoi', 'high'],
    ['Lisinopril', 'Spironolactone', 'acei-potassium-sparing', 'high'],
    ['Lisinopril', 'Potassium chloride', 'acei-potassium', 'high'],
    ['Simvastatin', 'Clarithromycin', 'simvastatin-strong-inhibitor', 'high'],
    ['Sildenafil', 'Nitroglycerin', 'nitrate-pde5', 'high'],
    ['Methotrexate', 'Trimethoprim', 'methotrexate-trimethoprim', 'high'],
    ['Digoxin', 'Amiodarone', 'digoxin-amiodarone', 'high'],
    ['Digoxin', 'Verapamil', 'digoxin-verapamil', 'high'],
    ['Lithium', 'Hydrochlorothiazide', 'lithium-thiazide', 'high'],
    ['Lithium', 'Enalapril', 'lithium-acei-arb', 'high'],
    ['Lithium', 'Naproxen', 'nsaid-lithium', 'high'],
    ['Haloperidol', 'Ondansetron', 'qt-qt', 'moderate'],
    ['Sotalol', 'Haloperidol', 'qt-high', 'high'],
    ['Oxycodone', 'Lorazepam', 'opioid-benzodiazepine', 'high'],
    ['Clopidogrel', 'Omeprazole', 'clopidogrel-ppi', 'moderate'],
    ['Allopurinol', 'Azathioprine', 'azathioprine-allopurinol', 'high'],
    ['Aspirin', 'Ibuprofen', 'aspirin-ibuprofen', 'moderate'],
    ['Aspirin', 'Diclofenac', 'aspirin-nsaid', 'moderate'],
  ])('%s and %s: %s, %s', (one, other, rule, severity) => {
    expect(of(one, other)).toMatchObject([{ kind: 'DRG', rule, severity }]);
    expect(of(other, one)).toMatchObject([{ rule, severity }]);
  });

  test.each([
    ['Metformin', 'Amlodipine'],
    ['Warfarin', 'Warfarin'],
    ['Ibuprofen', 'Naproxen'],
    ['Clopidogrel', 'Pantoprazole'],
    ['losartan potassium', 'lisinopril 10 mg, potassium-free'.replace('lisinopril', 'amlodipine')],
  ])('%s and %s: none', (one, other) => {
    expect(of(one, other)).toEqual([]);
  });

  test('the parts of one combination do not interact; with another product they do', () => {
    expect(of('ezetimibe/simvastatin', 'Metformin')).toEqual([]);
    expect(of('naproxen/esomeprazole', 'Clopidogrel').map(({ rule }) => rule)).toEqual(['clopidogrel-ppi']);
    const request = taken('lisinopril / aliskiren');
    const statement = taken('lisinopril / aliskiren', { resourceType: 'MedicationStatement' });
    expect(interactionsOf([request, statement], rules.interactions, ingredients)).toEqual([]);
    expect(of('lisinopril / aliskiren', 'Aliskiren')).toHaveLength(1);
  });

  test('one rule on the same records is one finding', () => {
    const found = of('sulfamethoxazole / trimethoprim', 'Methotrexate');
    expect(found.filter(({ rule }) => rule === 'methotrexate-trimethoprim')).toHaveLength(1);
  });

  test('every record of either drug is implicated, sorted', () => {
    const records = [
      taken('Warfarin', { reference: 'MedicationStatement/z' }),
      taken('Coumadin', { reference: 'MedicationRequest/b' }),
      taken('Aspirin', { reference: 'MedicationRequest/a' }),
    ];
    expect(interactionsOf(records, rules.interactions, ingredients)).toMatchObject([
      { implicated: ['MedicationRequest/a', 'MedicationRequest/b', 'MedicationStatement/z'] },
    ]);
  });

  test('the gravest comes first', () => {
    expect(of('Warfarin', 'Aspirin', 'Acetaminophen').map(({ severity }) => severity)).toEqual(['high', 'low']);
  });
});

describe('a drug beside what is taken', () => {
  const list = [taken('Warfarin'), taken('Aspirin')];

  test('its own interactions are found, not those of the list', () => {
    const { interactions, incomplete } = checkDrug({ text: 'Fluconazole' }, list, rules);
    expect(interactions.map(({ rule }) => rule)).toEqual(['warfarin-azole']);
    expect(incomplete).toBe(false);
  });

  test('an unknown drug, on either side, is told', () => {
    expect(checkDrug({ text: 'Zyxomab' }, list, rules)).toEqual({ interactions: [], incomplete: true });
    expect(checkDrug({ text: 'Metformin' }, [...list, taken('Zyxomab')], rules).incomplete).toBe(true);
  });
});

test('a list with every drug of the tables is judged in a fraction of a second', () => {
  const list = rules.ingredients.map(({ name }) => taken(name));
  const started = performance.now();
  expect(interactionsOf(list, rules.interactions, ingredients).length).toBeGreaterThan(1_000);
  expect(performance.now() - started).toBeLessThan(1_500);
});
