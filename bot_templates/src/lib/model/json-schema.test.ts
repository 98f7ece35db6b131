import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type JsonSchema, violation } from './json-schema.ts';

const SCHEMA: JsonSchema = {
  type: 'object',
  properties: {
    answerable: { type: 'boolean' },
    count: { type: 'integer', minimum: 0, maximum: 10 },
    share: { type: 'number', minimum: 0, maximum: 1 },
    kind: { type: 'string', enum: ['lab', 'note'] },
    code: { type: 'string', pattern: '^[A-Z]\\d+$', maxLength: 5 },
    list: { type: 'array', minItems: 1, maxItems: 2, items: { type: 'string' } },
  },
  required: ['answerable'],
  additionalProperties: false,
};

describe('A value conforms', () => {
  test.each([
    ['with what is required alone', { answerable: false }],
    ['with everything', { answerable: true, count: 10, share: 0.5, kind: 'lab', code: 'E11', list: ['a', 'b'] }],
    ['at its bounds', { answerable: true, count: 0, share: 1, list: ['a'] }],
  ])('%s', (_name, value) => {
    expect(violation(value, SCHEMA)).toBeUndefined();
  });
});

describe('A value breaks the schema', () => {
  test.each([
    ['null', null, 'answer: must be an object'],
    ['a list', [], 'answer: must be an object'],
    ['a text', 'yes', 'answer: must be an object'],
    ['nothing that is required', {}, 'answer.answerable: is missing'],
    ['only inherited what is required', Object.create({ answerable: true }), 'answer.answerable: is missing'],
    ['another field', { answerable: true, patientId: '1' }, 'answer: has a field that is not asked for'],
    ['a field of every object', { answerable: true, toString: '1' }, 'answer: has a field that is not asked for'],
    ['a prototype', JSON.parse('{"answerable": true, "__proto__": 1}'), 'answer: has a field that is not asked for'],
    ['a truth value as text', { answerable: 'true' }, 'answer.answerable: must be true or false'],
    ['a truth value as number', { answerable: 1 }, 'answer.answerable: must be true or false'],
    ['a fraction', { answerable: true, count: 1.5 }, 'answer.count: must be a whole number'],
    ['a number as text', { answerable: true, count: '1' }, 'answer.count: must be a whole number'],
    ['a number below', { answerable: true, count: -1 }, 'answer.count: is out of bounds'],
    ['a number above', { answerable: true, share: 1.01 }, 'answer.share: is out of bounds'],
    ['no number', { answerable: true, share: Number.NaN }, 'answer.share: must be a number'],
    ['infinity', { answerable: true, share: Number.POSITIVE_INFINITY }, 'answer.share: must be a number'],
    ['another choice', { answerable: true, kind: 'LAB' }, 'answer.kind: must be one of lab, note'],
    ['another pattern', { answerable: true, code: '11' }, 'answer.code: must match ^[A-Z]\\d+$'],
    ['too many characters', { answerable: true, code: 'E11111' }, 'answer.code: is too long'],
    ['a number for a text', { answerable: true, code: 11 }, 'answer.code: must be a string'],
    ['too few items', { answerable: true, list: [] }, 'answer.list: has too few or too many items'],
    ['too many items', { answerable: true, list: ['a', 'b', 'c'] }, 'answer.list: has too few or too many items'],
    ['an object for a list', { answerable: true, list: { 0: 'a' } }, 'answer.list: must be an array'],
    ['an item of another type', { answerable: true, list: ['a', null] }, 'answer.list[1]: must be a string'],
  ])('with %s', (_name, value, expected) => {
    expect(violation(value, SCHEMA)).toBe(expected);
  });

  test('and what is told of it is in no word of the value', () => {
    const secret = 'Eleanor Rigby, HbA1c 8.2';
    for (const value of [
      secret,
      [secret],
      { [secret]: 1 },
      { answerable: secret },
      { answerable: true, kind: secret },
    ]) {
      expect(violation(value, SCHEMA)).not.toMatch(/Eleanor|8\.2/);
    }
  });
});

/** Schemas with values that conform to them. */
const conforming: fc.Arbitrary<[JsonSchema, unknown]> = fc.letrec<{ any: [JsonSchema, unknown] }>((tie) => ({
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.boolean().map((value): [JsonSchema, unknown] => [{ type: 'boolean' }, value]),
    fc.string().map((value): [JsonSchema, unknown] => [{ type: 'string', maxLength: value.length }, value]),
    fc.integer().map((value): [JsonSchema, unknown] => [{ type: 'integer', minimum: value, maximum: value }, value]),
    fc
      .tuple(tie('any'), fc.integer({ min: 0, max: 3 }))
      .map(([[items, value], length]): [JsonSchema, unknown] => [
        { type: 'array', items, minItems: length, maxItems: length },
        Array.from({ length }, () => value),
      ]),
    fc.dictionary(fc.string(), tie('any'), { maxKeys: 3 }).map((fields): [JsonSchema, unknown] => [
      {
        type: 'object',
        properties: Object.fromEntries(Object.entries(fields).map(([name, [schema]]) => [name, schema])),
        required: Object.keys(fields),
        additionalProperties: false,
      },
      Object.fromEntries(Object.entries(fields).map(([name, [, value]]) => [name, value])),
    ])
  ),
})).any;

describe('Whatever the schema', () => {
  test('a value made for it conforms', () => {
    fc.assert(
      fc.property(conforming, ([schema, value]) => {
        expect(violation(value, schema)).toBeUndefined();
      })
    );
  });

  test('undefined conforms to none, and any JSON value is judged without an error', () => {
    fc.assert(
      fc.property(conforming, fc.jsonValue(), ([schema], value) => {
        expect(violation(undefined, schema)).toBeDefined();
        expect(['string', 'undefined']).toContain(typeof violation(value, schema));
      })
    );
  });
});
