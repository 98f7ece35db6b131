import { describe, expect, test } from 'vitest';
import { duplicatesOf } from './duplicates.ts';
import { Ingredients } from './ingredients.ts';
import type { Taken } from './medications.ts';
import { shippedRules } from './rules.ts';

const rules = shippedRules();
const ingredients = new Ingredients(rules);
let count = 0;

function taken(text: string, more: Partial<Taken> = {}): Taken {
  const resourceType = more.resourceType ?? 'MedicationRequest';
  return {
    reference: `${resourceType}/${++count}`,
    resourceType,
    ...ingredients.ofConcept({ text }),
    product: text.toLowerCase(),
    links: [],
    ...more,
  };
}
const statement = (text: string, more: Partial<Taken> = {}) =>
  taken(text, { resourceType: 'MedicationStatement', ...more });
const of = (...list: Taken[]) => duplicatesOf(list, rules, ingredients);

describe('duplicates', () => {
  test.each([
    [
      'the same ingredient in two products',
      [taken('Ibuprofen 400 mg'), taken('Advil')],
      'ingredient:ibuprofen',
      'moderate',
    ],
    [
      'the same product ordered twice',
      [taken('Metformin 500 mg'), taken('Metformin 500 mg')],
      'ingredient:metformin',
      'moderate',
    ],
    [
      'an ingredient inside a combination',
      [taken('Tylenol'), taken('Percocet')],
      'ingredient:acetaminophen',
      'moderate',
    ],
    ['an anticoagulant twice', [taken('Warfarin 5 mg'), taken('Coumadin')], 'ingredient:warfarin', 'high'],
    [
      'an order and a statement of another product',
      [taken('Ibuprofen 600 mg'), statement('Advil')],
      'ingredient:ibuprofen',
      'moderate',
    ],
    ['two of one class', [taken('Ibuprofen'), taken('Naproxen')], 'class:nsaid', 'moderate'],
    ['two anticoagulants', [taken('Warfarin'), taken('Apixaban')], 'class:anticoagulant', 'high'],
    [
      'two ACE inhibitors, one in a combination',
      [taken('Lisinopril'), taken('enalapril/hydrochlorothiazide')],
      'class:ace-inhibitor',
      'moderate',
    ],
  ])('%s: one DUPTHPY', (_name, list, rule, severity) => {
    const found = of(...list);
    expect(found).toMatchObject([{ kind: 'DUPTHPY', rule, severity }]);
    expect(found[0]?.implicated).toEqual(list.map(({ reference }) => reference).sort());
  });

  test.each([
    ['an order and a statement of the same product', [taken('Ibuprofen 400 mg'), statement('ibuprofen 400 mg')]],
    ['the same statement by two people', [statement('Metformin'), statement('metformin')]],
    [
      'an order and what it replaces',
      [
        taken('Metformin 500 mg', { reference: 'MedicationRequest/old' }),
        taken('Metformin 1000 mg', { links: ['MedicationRequest/old'] }),
      ],
    ],
    [
      'a statement of an order',
      [
        taken('Ibuprofen 600 mg', { reference: 'MedicationRequest/a' }),
        statement('Advil', { links: ['MedicationRequest/a'] }),
      ],
    ],
    ['basal and mealtime insulin', [taken('Insulin glargine'), taken('Insulin lispro')]],
    ['aspirin and clopidogrel', [taken('Aspirin'), taken('Clopidogrel')]],
    ['the parts of one combination', [taken('amlodipine/benazepril'), taken('Metformin')]],
    ['two antiarrhythmics that interact by a rule of their own', [taken('Amiodarone'), taken('Sotalol')]],
    ['unknown drugs', [taken('Zyxomab'), taken('Zyxomab')]],
  ])('%s: none', (_name, list) => {
    expect(of(...list)).toEqual([]);
  });

  test('the site can switch off an ingredient or a class', () => {
    const off = { ...rules, duplicatesOff: ['#nsaid', 'metformin'] };
    expect(duplicatesOf([taken('Ibuprofen'), taken('Naproxen')], off, ingredients)).toEqual([]);
    expect(duplicatesOf([taken('Metformin'), taken('Metformin')], off, ingredients)).toEqual([]);
  });

  test('records that are linked in a row are one treatment', () => {
    const list = [
      taken('Metformin 500 mg', { reference: 'MedicationRequest/1' }),
      taken('Metformin 850 mg', { reference: 'MedicationRequest/2', links: ['MedicationRequest/1'] }),
      taken('Metformin 1 g', { reference: 'MedicationRequest/3', links: ['MedicationRequest/2'] }),
    ];
    expect(of(...list)).toEqual([]);
    expect(of(list[0] as Taken, list[2] as Taken, list[1] as Taken)).toEqual([]);
  });
});
