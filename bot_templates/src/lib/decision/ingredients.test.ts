import type { Medication } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { Ingredients } from './ingredients.ts';
import { shippedRules } from './rules.ts';

const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';
const ingredients = new Ingredients(shippedRules());
const of = (text: string) => ingredients.ofConcept({ text });

describe('ingredients of a name', () => {
  test.each([
    ['Warfarin', ['warfarin']],
    ['WARFARIN SODIUM 5 MG ORAL TABLET', ['warfarin']],
    ['warfarin5 mg', []],
    ['Coumadin 2.5mg', ['warfarin']],
    ['Jantoven®', ['warfarin']],
    ['Aspirin EC 81 mg', ['aspirin']],
    ['acetylsalicylic acid', ['aspirin']],
    ['Paracétamol 1 g', ['acetaminophen']],
    ['amoxicillin/clavulanate 875-125 mg', ['amoxicillin', 'clavulanate']],
    ['amoxicillin-clavulanate potassium', ['amoxicillin', 'clavulanate']],
    ['Augmentin 875', ['amoxicillin', 'clavulanate']],
    ['co-trimoxazole', ['sulfamethoxazole', 'trimethoprim']],
    ['sulfamethoxazole 800 MG / trimethoprim 160 MG Oral Tablet', ['sulfamethoxazole', 'trimethoprim']],
    ['lisinopril + hydrochlorothiazide', ['hydrochlorothiazide', 'lisinopril']],
    ['losartan potassium 50 MG Oral Tablet', ['losartan']],
    ['Penicillin V potassium 500 mg', ['penicillin V']],
    ['potassium chloride 20 mEq', ['potassium chloride']],
    ['esomeprazole magnesium', ['esomeprazole']],
    ['hydroxychloroquine', ['hydroxychloroquine']],
    ['desvenlafaxine', ['desvenlafaxine']],
    ['norepinephrine', []],
    ['5-ASA 400 mg', ['mesalamine']],
    ['Tylenol (aspirin-free, non-aspirin)', ['acetaminophen']],
    ["St. John's Wort extract", ["St John's wort"]],
    ['insulin glargine 100 units/mL', ['insulin glargine']],
    ['Warfarine', []],
    ['Warfarin or apixaban', ['apixaban', 'warfarin']],
    ['', []],
    ['варфарин', []],
  ])('%s holds %j', (text, expected) => {
    expect(of(text).ingredients).toEqual(expected);
  });

  test.each([
    'Zyxomab 10 mg',
    'Warfarine',
    '',
    'варфарин',
    'amoxicillin / zyxomycin',
    'losartan and zyxomab',
    'aspirin, zyxomab',
    'aspirin / варфарин',
  ])('%s is told to be unknown, wholly or in part', (text) => {
    expect(of(text).incomplete).toBe(true);
  });

  test.each([
    'Warfarin 5 mg',
    'insulin glargine 100 units/mL',
    'amoxicillin/clavulanate 875-125 mg oral tablet',
    'sulfamethoxazole 800 MG / trimethoprim 160 MG Oral Tablet',
    'metoprolol succinate 50 mg extended release / once daily',
    'Aspirin 81 mg with food',
    'Warfarin 2,5 mg, oral tablet',
    'fentanyl 25 µg/h',
  ])('%s is known as a whole', (text) => {
    expect(of(text).incomplete).toBe(false);
  });
});

describe('ingredients of a code', () => {
  test('an RxNorm code is enough, and needs its system', () => {
    expect(ingredients.ofConcept({ coding: [{ system: RXNORM, code: '11289' }] })).toEqual({
      ingredients: ['warfarin'],
      incomplete: false,
    });
    expect(
      ingredients.ofConcept({ coding: [{ system: 'urn:oid:2.16.840.1.113883.6.88', code: '11289' }] }).ingredients
    ).toEqual(['warfarin']);
    expect(
      ingredients.ofConcept({ coding: [{ system: 'http://snomed.info/sct', code: '11289' }] }).ingredients
    ).toEqual([]);
    expect(ingredients.ofConcept({ coding: [{ code: '11289' }] }).incomplete).toBe(true);
  });

  test('a product code is known by its display, and words that differ from a code count too', () => {
    const product = { system: RXNORM, code: '855332', display: 'warfarin sodium 5 MG Oral Tablet' };
    expect(ingredients.ofConcept({ coding: [product] }).ingredients).toEqual(['warfarin']);
    const wrong = { coding: [{ system: RXNORM, code: '11289' }], text: 'Aspirin 81 mg' };
    expect(ingredients.ofConcept(wrong).ingredients).toEqual(['aspirin', 'warfarin']);
  });
});

describe('ingredients of a Medication', () => {
  const medication = (more: Partial<Medication>): Medication => ({ resourceType: 'Medication', ...more });

  test('its ingredients count where its name is unknown', () => {
    const ingredient = [{ itemCodeableConcept: { text: 'Warfarin' } }];
    expect(ingredients.ofMedication(medication({ code: { text: 'House blend' }, ingredient }))).toEqual({
      ingredients: ['warfarin'],
      incomplete: false,
    });
  });

  test('an ingredient that is not known leaves it incomplete', () => {
    const ingredient = [{ itemCodeableConcept: { text: 'Warfarin' } }, { itemCodeableConcept: { text: 'Zyxomab' } }];
    expect(ingredients.ofMedication(medication({ ingredient }))).toEqual({
      ingredients: ['warfarin'],
      incomplete: true,
    });
  });

  test('an inactive ingredient does not count; a contained one does', () => {
    const contained = [medication({ id: 'a', code: { text: 'Aspirin' } })];
    const ingredient = [
      { itemReference: { reference: '#a' } },
      { itemCodeableConcept: { text: 'Ibuprofen' }, isActive: false },
    ];
    expect(ingredients.ofMedication(medication({ contained, ingredient })).ingredients).toEqual(['aspirin']);
  });

  test('one that was entered in error says nothing', () => {
    const wrong = medication({ status: 'entered-in-error', code: { text: 'Warfarin' } });
    expect(ingredients.ofMedication(wrong)).toEqual({ ingredients: [], incomplete: true });
  });
});
