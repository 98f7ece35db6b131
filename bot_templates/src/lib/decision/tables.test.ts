import { describe, expect, test } from 'vitest';
import controlled from '../../data/controlled-substances.json' with { type: 'json' };
import { plainWords } from './ingredients.ts';
import { RULESET } from './rules.ts';
import { type CodesChecked, type Ingredient, SEVERITIES, TABLES } from './tables.ts';

const { ingredients, interactions, allergies, criticalValues, preventive } = TABLES;
const names = new Set(ingredients.ingredients.map(({ name }) => name));
const classes = new Set(ingredients.classes.map(({ code }) => code));

function repeated(values: readonly string[]): string[] {
  return values.filter((value, index) => values.indexOf(value) !== index);
}

function unknownSides(sides: readonly string[]): string[] {
  return sides.filter((side) => (side.startsWith('#') ? !classes.has(side.slice(1)) : !names.has(side)));
}

test.each(Object.entries(TABLES))('%s says its version, date and source', (_key, { table, version, date, source }) => {
  expect(table).toMatch(/^[a-z-]+$/);
  expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  expect(date).toMatch(/^\d{4}-\d{2}-\d{2}$/);
  expect(source.length).toBeGreaterThan(40);
  expect(date <= RULESET.date).toBe(true);
});

describe('ingredients', () => {
  test('no name or brand means two things', () => {
    const spelled = ingredients.ingredients.flatMap(({ name, also, brands }) => [
      name,
      ...(also ?? []),
      ...(brands ?? []),
    ]);
    const all = [...spelled, ...ingredients.products.map(({ brand }) => brand)].map((each) =>
      plainWords(each).join(' ')
    );
    expect(repeated(all)).toEqual([]);
    expect(all.filter((each) => each.length < 3)).toEqual([]);
    expect(repeated(ingredients.classes.map(({ code }) => code))).toEqual([]);
  });

  test('classes and parts of products exist', () => {
    expect(ingredients.ingredients.flatMap((each) => each.classes).filter((code) => !classes.has(code))).toEqual([]);
    expect(ingredients.products.flatMap((each) => each.ingredients).filter((name) => !names.has(name))).toEqual([]);
    const duplicates = ingredients.classes.flatMap(({ duplicate }) => duplicate ?? []);
    expect(duplicates.filter((severity) => !SEVERITIES.includes(severity))).toEqual([]);
  });

  test('a salt is no name of its own', () => {
    const salts = ['sodium', 'potassium', 'calcium', 'magnesium', 'hydrochloride', 'phosphate', 'acetate'];
    expect(salts.filter((salt) => names.has(salt))).toEqual([]);
  });
});

describe('RxNorm codes', () => {
  type Coded = Pick<Ingredient, 'name' | 'rxnorm'>;
  const substances: Coded[] = controlled.substances;
  const codes = (all: readonly Coded[]) => all.flatMap(({ rxnorm }) => rxnorm ?? []);

  test.each<[string, CodesChecked, readonly Coded[]]>([
    ['ingredients', ingredients.codesChecked, ingredients.ingredients],
    ['controlled-substances', controlled.codesChecked, substances],
  ])('of %s: every one was checked, and it says how and when', (_table, { date, how, kept, corrected }, all) => {
    expect(codes(all)).toHaveLength(kept + corrected);
    expect(codes(all).filter((code) => !/^[1-9]\d{1,7}$/.test(code))).toEqual([]);
    expect(repeated(codes(all))).toEqual([]);
    expect(date).toMatch(/^\d{4}-\d{2}-\d{2}$/);
    expect(how).toMatch(/RxNorm .*\.$/);
  });

  test('a code means the same in both tables, and a name has one', () => {
    const both = [...ingredients.ingredients, ...substances].filter(({ rxnorm }) => rxnorm !== undefined);
    const pairs = [...new Set(both.map(({ name, rxnorm }) => `${rxnorm} ${name}`))].map((pair) => pair.split(' '));
    expect(repeated(pairs.map(([code = '']) => code))).toEqual([]);
    expect(repeated(pairs.map(([, ...name]) => name.join(' ')))).toEqual([]);
  });
});

test('interactions name ingredients and classes that exist, once, with text', () => {
  expect(repeated(interactions.rules.map(({ id }) => id))).toEqual([]);
  expect(interactions.rules.length).toBeGreaterThan(60);
  for (const rule of interactions.rules) {
    expect(unknownSides([...rule.one, ...rule.other])).toEqual([]);
    expect(SEVERITIES).toContain(rule.severity);
    expect(rule.mechanism).toMatch(/\.$/);
    expect(rule.management).toMatch(/\.$/);
  }
});

test('allergies name ingredients and classes that exist', () => {
  expect(repeated(allergies.groups.map(({ id }) => id))).toEqual([]);
  expect(repeated(allergies.groups.flatMap((group) => group.names.map((name) => plainWords(name).join(' '))))).toEqual(
    []
  );
  for (const { members, cross, severity } of allergies.groups) {
    expect(unknownSides([...members, ...cross.flatMap((each) => each.members)])).toEqual([]);
    expect([severity, ...cross.map((each) => each.severity)].filter((each) => !SEVERITIES.includes(each))).toEqual([]);
  }
});

describe('critical values', () => {
  test('a LOINC code has one rule', () => {
    expect(repeated(criticalValues.rules.flatMap(({ loinc }) => loinc))).toEqual([]);
    expect(repeated(criticalValues.rules.map(({ id }) => id))).toEqual([]);
  });

  test('LOINC codes have their check digit', () => {
    const done = preventive.rules.flatMap((rule) => rule.done).flatMap(({ codes }) => codes);
    const loinc = done.filter(({ system }) => system === 'http://loinc.org').flatMap(({ codes }) => codes ?? []);
    const all = [...criticalValues.rules.flatMap((rule) => rule.loinc), ...loinc];
    expect(all.filter((code) => !hasCheckDigit(code))).toEqual([]);
  });

  test.each(criticalValues.rules)('$id: the limits lie in order and within what is plausible', (rule) => {
    const { low, high, plausible, unit, units } = rule;
    expect(units[unit]).toBe(1);
    expect(low !== undefined || high !== undefined).toBe(true);
    const order = [plausible[0], low, high, plausible[1]].filter((each) => each !== undefined);
    expect(order).toEqual([...order].sort((one, other) => one - other));
  });

  test('a spelling means one unit, whatever its case', () => {
    const codes = [...new Set(criticalValues.rules.flatMap(({ units }) => Object.keys(units)))];
    expect(repeated(codes.map((code) => code.toLowerCase()))).toEqual([]);
    const spellings = Object.entries(criticalValues.spellings).map(([spelling, code]) => [
      spelling.toLowerCase(),
      code,
    ]);
    const clashes = spellings.filter(([spelling, code]) =>
      codes.some((each) => each.toLowerCase() === spelling && each !== code)
    );
    expect(clashes).toEqual([]);
    expect(
      [...Object.values(criticalValues.spellings)].filter(
        (code) => !codes.includes(code) && !criticalValues.otherUnits.includes(code)
      )
    ).toEqual([]);
  });
});

describe('preventive', () => {
  test('every recommendation has a dated source and something that fulfils it', () => {
    expect(repeated(preventive.rules.map(({ id }) => id))).toEqual([]);
    for (const { source, done, needs, minAge, maxAge } of preventive.rules) {
      expect(source.date).toMatch(/^\d{4}-\d{2}-\d{2}$/);
      expect(source.url ?? 'https://').toMatch(/^https:\/\//);
      expect(done.flatMap(({ codes }) => codes.flatMap((set) => set.codes ?? [])).length).toBeGreaterThan(0);
      expect((needs ?? []).filter((need) => !Object.hasOwn(preventive.needs, need))).toEqual([]);
      expect(minAge).toBeLessThan(maxAge);
    }
  });

  test('SNOMED CT codes have their check digit', () => {
    const sets = [
      ...preventive.rules.flatMap(({ done, unless }) => [...done.flatMap(({ codes }) => codes), ...(unless ?? [])]),
      ...Object.values(preventive.needs).flatMap(({ conditions, observations }) => [
        ...(conditions ?? []),
        ...(observations ? observations.values : []),
      ]),
      ...allergies.groups.flatMap((group) =>
        (group.codes ?? []).map(({ system, code }) => ({ system, codes: [code] }))
      ),
    ];
    const codes = sets.filter(({ system }) => system === 'http://snomed.info/sct').flatMap((set) => set.codes ?? []);
    expect(codes.filter((code) => !hasVerhoeffDigit(code))).toEqual([]);
    expect(codes.length).toBeGreaterThan(15);
  });
});

/** The check digit of LOINC: Luhn's, on the number before the hyphen. */
function hasCheckDigit(code: string): boolean {
  const [number = '', check] = code.split('-');
  const sum = [...number].reverse().reduce((total, digit, index) => {
    const doubled = index % 2 === 0 ? Number(digit) * 2 : Number(digit);
    return total + (doubled > 9 ? doubled - 9 : doubled);
  }, 0);
  return String((10 - (sum % 10)) % 10) === check;
}

/** The check digit of SNOMED CT: Verhoeff's, computed in the dihedral group of the pentagon. */
function hasVerhoeffDigit(code: string): boolean {
  const product = (a: number, b: number) =>
    a < 5 ? (b < 5 ? (a + b) % 5 : 5 + ((a + b) % 5)) : b < 5 ? 5 + ((a - b + 5) % 5) : (a - b + 5) % 5;
  const permute = (digit: number, times: number): number => {
    const step = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    return times === 0 ? digit : permute(step[digit] as number, times - 1);
  };
  const digits = [...code].reverse().map(Number);
  return digits.reduce((state, digit, index) => product(state, permute(digit, index % 8)), 0) === 0;
}
