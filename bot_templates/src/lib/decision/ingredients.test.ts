import type { CodeableConcept, Medication } from '@medplum/fhirtypes';
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
      contradictory: false,
    });
    expect(
      ingredients.ofConcept({ coding: [{ system: 'urn:oid:2.16.840.1.113883.6.88', code: '11289' }] }).ingredients
    ).toEqual(['warfarin']);
    expect(
      ingredients.ofConcept({ coding: [{ system: 'http://snomed.info/sct', code: '11289' }] }).ingredients
    ).toEqual([]);
    expect(ingredients.ofConcept({ coding: [{ code: '11289' }] }).incomplete).toBe(true);
  });

  test('a product code is known by its display', () => {
    const product = { system: RXNORM, code: '855332', display: 'warfarin sodium 5 MG Oral Tablet' };
    expect(ingredients.ofConcept({ coding: [product] }).ingredients).toEqual(['warfarin']);
  });
});

describe('a code and words that name different ingredients', () => {
  const rxnorm = (code: string, display?: string) => ({ system: RXNORM, code, ...(display ? { display } : {}) });

  const both = ['aspirin', 'warfarin'];

  test.each<[string, CodeableConcept, string[]]>([
    ['a code and the text', { coding: [rxnorm('11289')], text: 'Aspirin 81 mg' }, both],
    ['a code and its own display', { coding: [rxnorm('11289', 'Aspirin')] }, both],
    ['a code with its name, and the text', { coding: [rxnorm('11289', 'warfarin')], text: 'Aspirin' }, both],
    ["a product's display, and the text", { coding: [rxnorm('855332', 'warfarin 5 MG')], text: 'Aspirin' }, both],
    ['two codes', { coding: [rxnorm('11289'), rxnorm('1191')] }, both],
    [
      'a code, and a combination without it',
      { coding: [rxnorm('11289')], text: 'Augmentin' },
      ['amoxicillin', 'clavulanate', 'warfarin'],
    ],
    ['two insulins', { coding: [rxnorm('274783')], text: 'insulin lispro' }, ['insulin glargine', 'insulin lispro']],
  ])('%s: all count, and the contradiction is told', (_what, concept, expected) => {
    expect(ingredients.ofConcept(concept)).toEqual({ ingredients: expected, incomplete: true, contradictory: true });
  });

  test.each<[string, CodeableConcept]>([
    ['another name of the same', { coding: [rxnorm('161', 'Acetaminophen')], text: 'Paracetamol 1 g' }],
    ['a brand', { coding: [rxnorm('11289')], text: 'Coumadin 5 mg' }],
    ['one part of a combination', { coding: [rxnorm('723')], text: 'amoxicillin/clavulanate' }],
    ['both parts of a combination', { coding: [rxnorm('723', 'Amoxicillin'), rxnorm('48203')], text: 'Augmentin' }],
    ['a less exact name', { coding: [rxnorm('274783', 'insulin glargine')], text: 'Insulin 20 units at bedtime' }],
  ])('%s is no contradiction', (_what, concept) => {
    expect(ingredients.ofConcept(concept)).toMatchObject({ incomplete: false, contradictory: false });
  });

  test('words that are not known contradict nothing', () => {
    expect(ingredients.ofConcept({ coding: [rxnorm('11289')], text: 'blood thinner' })).toEqual({
      ingredients: ['warfarin'],
      incomplete: false,
      contradictory: false,
    });
  });
});

describe('ingredients of a Medication', () => {
  const medication = (more: Partial<Medication>): Medication => ({ resourceType: 'Medication', ...more });

  test('its ingredients count where its name is unknown', () => {
    const ingredient = [{ itemCodeableConcept: { text: 'Warfarin' } }];
    expect(ingredients.ofMedication(medication({ code: { text: 'House blend' }, ingredient }))).toEqual({
      ingredients: ['warfarin'],
      incomplete: false,
      contradictory: false,
    });
  });

  test('an ingredient that is not known leaves it incomplete', () => {
    const ingredient = [{ itemCodeableConcept: { text: 'Warfarin' } }, { itemCodeableConcept: { text: 'Zyxomab' } }];
    expect(ingredients.ofMedication(medication({ ingredient }))).toEqual({
      ingredients: ['warfarin'],
      incomplete: true,
      contradictory: false,
    });
  });

  test('one that is named as something else than it holds tells of both', () => {
    const ingredient = [{ itemCodeableConcept: { text: 'Warfarin' } }];
    const told = { ingredients: ['aspirin', 'warfarin'], incomplete: true, contradictory: true };
    expect(ingredients.ofMedication(medication({ code: { text: 'Aspirin' }, ingredient }))).toEqual(told);
    const contrary = { coding: [{ system: RXNORM, code: '11289' }], text: 'Aspirin' };
    expect(ingredients.ofMedication(medication({ ingredient: [{ itemCodeableConcept: contrary }] }))).toEqual(told);
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
    expect(ingredients.ofMedication(wrong)).toEqual({ ingredients: [], incomplete: true, contradictory: false });
  });
});
