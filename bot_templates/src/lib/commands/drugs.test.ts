import { describe, expect, test } from 'vitest';
import table from '../../data/controlled-substances.json' with { type: 'json' };
import ingredients from '../../data/ingredients.json' with { type: 'json' };
import { isControlled, isHighRisk } from './drugs.ts';

const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';
const controlled = (text: string): boolean => isControlled({ text }, []);

describe('a controlled substance', () => {
  test.each([
    'Oxycodone',
    'OXYCODONE HCL 5 mg',
    'Oxycodóne',
    'Ｏxycodone',
    'acetaminophen 325 MG / oxycodone 5 MG',
    'Percocet',
    'oxycodone-free',
  ])('is known by its name: %s', (text) => {
    expect(controlled(text)).toBe(true);
  });

  test.each(['Oxycodon', 'oxycodonhydrochlorid', 'Morphin', 'Morphinsulfat 10 mg', 'Methylphenidat', 'oxicodona/oxycodona'])(
    'is known with another ending: %s',
    (text) => {
      expect(controlled(text)).toBe(true);
    }
  );

  test.each(['oxy codone', 'Oxy-codone 5 mg', 'Oxy Contin'])('is known when written apart: %s', (text) => {
    expect(controlled(text)).toBe(true);
  });

  test('is known by its code, whatever it is called', () => {
    expect(isControlled({ coding: [{ system: RXNORM, code: '7804', display: 'Paracetamol' }] }, [])).toBe(true);
    expect(isControlled({ coding: [{ system: 'urn:example', code: '7804', display: 'Paracetamol' }] }, [])).toBe(false);
  });

  test('is what the site says', () => {
    expect(isControlled({ text: 'Gabapentine' }, ['gabapentin'])).toBe(true);
    expect(isControlled({ text: 'Gabapentin' }, [])).toBe(false);
  });

  test.each(['Apomorphine', 'Dextromethorphan', 'Naloxone', 'Centrally acting muscle relaxants', 'Metformin', ''])(
    'is not: %s',
    (text) => {
      expect(controlled(text)).toBe(false);
    }
  );

  test('no ingredient is taken for one by how it begins', () => {
    const listed = table.substances.flatMap(({ name, also = [] }: { name: string; also?: string[] }) => [name, ...also]);
    const names = ingredients.ingredients.map(({ name }) => name);
    const taken = names.filter(controlled);
    expect(taken.length).toBeGreaterThan(10);
    expect(taken.filter((name) => !listed.includes(name))).toEqual([]);
  });
});

test('a high-risk drug is known in the same ways', () => {
  expect(['Warfarin', 'Warfarina', 'War farin', 'Coumadin'].map((text) => isHighRisk({ text }, []))).toEqual(
    Array(4).fill(true)
  );
  expect(isHighRisk({ text: 'Ibuprofen' }, [])).toBe(false);
});
