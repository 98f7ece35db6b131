import { describe, expect, test } from 'vitest';
import { Fields } from './fields.ts';

const ID = '3f2a1b4c-0000-4000-8000-00000000abcd';
const of = (value: unknown) => new Fields({ field: value });
const invalid = (message: string) =>
  expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringContaining(message) as unknown });

describe('a field', () => {
  test('that is absent or null is undefined', () => {
    expect(of(null).text('field', 9)).toBeUndefined();
    expect(of(undefined).integer('field', 1, 2)).toBeUndefined();
    expect(new Fields({}).listOf('field', ['a'])).toBeUndefined();
  });

  test('that must be there is named when it is not', () => {
    const fields = new Fields({});
    expect(() => fields.present('id', fields.id('id', 'Patient'))).toThrow(invalid('id is missing'));
  });

  test('of a nested object is named by its path', () => {
    expect(() => of({ start: 'x' }).object('field')?.date('start')).toThrow(invalid('field.start must be a date'));
  });

  test('that nobody took is an error', () => {
    const fields = new Fields({ patientId: ID, patientID: ID });
    fields.id('patientId', 'Patient');
    expect(() => fields.done()).toThrow(invalid('patientID is no field of this bot'));
  });

  test('that nobody took is told with the name that was meant', () => {
    const fields = new Fields({ limt: 3 }, 'range.');
    fields.integer('limit', 1, 9);
    fields.text('query', 9);
    expect(() => fields.done()).toThrow(
      expect.objectContaining({
        message: 'range.limt is no field of this bot: did you mean range.limit?',
        details: { field: 'range.limt', nearest: 'range.limit' },
      })
    );
  });

  test('that is missing is told with the name that it seems to have', () => {
    const fields = new Fields({ limit: 3, qury: 'asthma' });
    expect(() => fields.present('query', fields.text('query', 99))).toThrow(
      expect.objectContaining({
        message: 'query is missing, and qury looks like a misspelling of it',
        details: { field: 'query', misspelt: 'qury' },
      })
    );
  });

  test('that is missing says nothing of a field that resembles it and was read', () => {
    const fields = new Fields({ queries: 'asthma', querys: 'asthma' });
    fields.text('querys', 9);
    expect(() => fields.present('query', fields.text('query', 99))).toThrow(
      expect.objectContaining({ message: 'query is missing', details: { field: 'query' } })
    );
  });

  test('whose name is odd is not repeated, nor compared', () => {
    expect(() => new Fields({ 'Eleanor Rigby': 1 }).done()).toThrow(invalid('(unprintable)'));
    const fields = new Fields({ 'que ry': 1 });
    expect(() => fields.present('query', fields.text('query', 9))).toThrow(
      expect.objectContaining({ message: 'query is missing' })
    );
  });
});

test.each([
  ['text', () => of(' a ').text('field', 3), 'a'],
  ['verbatim text', () => of(' a\r\n\t*b* ').verbatim('field', 12), ' a\r\n\t*b* '],
  ['oneOf', () => of('b').oneOf('field', ['a', 'b']), 'b'],
  ['listOf a single value', () => of('b').listOf('field', ['a', 'b']), ['b']],
  ['listOf with a repetition', () => of(['b', 'a', 'b']).listOf('field', ['a', 'b']), ['a', 'b']],
  ['integer', () => of(50).integer('field', 1, 50), 50],
  ['number', () => of(0.5).number('field', 0, 1), 0.5],
  ['boolean', () => of(false).boolean('field'), false],
  ['id, bare', () => of(ID.toUpperCase()).id('field', 'Patient'), ID],
  ['id with its type', () => of(`Patient/${ID}`).id('field', 'Patient'), ID],
  ['date', () => of('2024-02-29').date('field'), '2024-02-29'],
  ['instant from a date', () => of('2024-02-29').instant('field'), '2024-02-29T00:00:00.000Z'],
  ['instant in another zone', () => of('2024-02-29T01:30:00+02:00').instant('field'), '2024-02-28T23:30:00.000Z'],
])('%s is read', (_name, read, expected) => {
  expect(read()).toEqual(expected);
});

test.each([
  ['text that is blank', () => of(' ').text('field', 3)],
  ['text that is too long', () => of('long').text('field', 3)],
  ['text that is a number', () => of(1).text('field', 3)],
  ['verbatim text that is blank', () => of(' \n').verbatim('field', 3)],
  ['verbatim text that is too long', () => of('long').verbatim('field', 3)],
  ['verbatim text with a NUL', () => of('a\u0000b').verbatim('field', 9)],
  ['verbatim text with half a character', () => of('a\ud83d').verbatim('field', 9)],
  ['verbatim text that is an object', () => of({}).verbatim('field', 9)],
  ['oneOf of none', () => of('c').oneOf('field', ['a', 'b'])],
  ['oneOf of an object', () => of({}).oneOf('field', ['a', 'b'])],
  ['listOf with a stranger', () => of(['a', 'c']).listOf('field', ['a', 'b'])],
  ['listOf none', () => of([]).listOf('field', ['a'])],
  ['integer as text', () => of('1').integer('field', 1, 50)],
  ['integer with a fraction', () => of(1.5).integer('field', 1, 50)],
  ['integer too small', () => of(0).integer('field', 1, 50)],
  ['integer too large', () => of(51).integer('field', 1, 50)],
  ['number that is none', () => of(Number.NaN).number('field', 0, 1)],
  ['number beyond', () => of(1.01).number('field', 0, 1)],
  ['boolean as text', () => of('true').boolean('field')],
  ['boolean as a number', () => of(0).boolean('field')],
  ['id of another type', () => of(`Group/${ID}`).id('field', 'Patient')],
  ['id that is no UUID', () => of('1; DROP TABLE').id('field', 'Patient')],
  ['date that is not in the calendar', () => of('2023-02-29').date('field')],
  ['date with a time', () => of('2024-02-29T00:00:00Z').date('field')],
  ['instant without a zone', () => of('2024-02-29T00:00:00').instant('field')],
  ["instant at 25 o'clock", () => of('2024-02-29T25:00:00Z').instant('field')],
  ['instant with more behind it', () => of('2024-02-29&_id=1').instant('field')],
  ['object that is a list', () => of([]).object('field')],
])('%s is refused', (_name, read) => {
  expect(read).toThrow(invalid('field '));
});
