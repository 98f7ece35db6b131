import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { costOf } from '../../../test/support/cost.ts';
import { jsonValues } from './json-text.ts';

const ANSWER = { answerable: true, sentences: [{ text: 'A "quoted" {brace}', citations: ['S1'] }] };
const JSON_TEXT = JSON.stringify(ANSWER);

describe('The JSON of a model', () => {
  test.each([
    ['alone', JSON_TEXT],
    ['with white space', `\n  ${JSON.stringify(ANSWER, undefined, 2)}\n`],
    ['in a fence', `\`\`\`json\n${JSON_TEXT}\n\`\`\``],
    ['in a fence without a language', `\`\`\`\n${JSON_TEXT}\n\`\`\``],
    ['in prose', `Here is the answer: ${JSON_TEXT} I hope it helps.`],
    ['after a brace in prose', `The set {a, b} is meant. ${JSON_TEXT}`],
    ['after a brace that nothing closes', `A brace { and then ${JSON_TEXT}`],
    ['after a quotation mark', `He said "{ and then ${JSON_TEXT}`],
    ['in double braces', `{${JSON_TEXT}}`],
    ['after a thought', `<think>Maybe {"answerable": false}?</think>${JSON_TEXT}`],
    ['after thoughts of other names', `<thinking>a</thinking><reasoning>b</reasoning>${JSON_TEXT}`],
    ['after a thought in a thought', `<think>a<think>b</think>c</think>${JSON_TEXT}`],
    ['after a thought whose beginning is cut off', `Maybe {"answerable": false}?\n</think>\n${JSON_TEXT}`],
    ['after a thought in capitals', `<THINK>a</THINK>${JSON_TEXT}`],
    ['as a text in JSON', JSON.stringify(JSON_TEXT)],
    ['as the only item of a list', `[${JSON_TEXT}]`],
    ['before a smaller object', `${JSON_TEXT} {"note": 1}`],
    ['after a smaller object', `{"note": 1} ${JSON_TEXT}`],
    ['after a byte order mark', `\ufeff${JSON_TEXT}`],
  ])('%s', (_name, text) => {
    expect(jsonValues(text)[0]).toEqual(ANSWER);
  });

  test.each([
    ['an empty answer', ''],
    ['prose', 'The HbA1c was 8.2 %.'],
    ['a thought that nothing ends', `<think>Let me see: ${JSON_TEXT}`],
    ['JSON that is cut off', JSON_TEXT.slice(0, -5)],
    ['JSON with a comma too many', '{"answerable": true,}'],
    ['JSON of another kind of quotes', "{'answerable': true}"],
    ['more than 200,000 characters before it', `${'x'.repeat(200_000)}${JSON_TEXT}`],
  ])('is not in %s', (_name, text) => {
    expect(jsonValues(text)).toEqual([]);
  });

  test('that is no object is given as it is', () => {
    expect(jsonValues('null')).toEqual([null]);
    expect(jsonValues('[1, 2]')).toEqual([[1, 2]]);
    expect(jsonValues('"yes"')).toEqual(['yes']);
  });

  test('that names a prototype makes no prototype', () => {
    const [value] = jsonValues('{"__proto__": {"answerable": true}}');
    expect((value as { answerable?: boolean }).answerable).toBeUndefined();
  });

  test('is found whole in any prose without braces', () => {
    const prose = fc.string().map((text) => text.replace(/[{}"<]/g, ''));
    const object = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })).filter((value) => !('__proto__' in value));
    fc.assert(
      fc.property(prose, object, prose, (before, value, after) => {
        expect(jsonValues(`${before} ${JSON.stringify(value)} ${after}`)[0]).toEqual(JSON.parse(JSON.stringify(value)));
      })
    );
  });

  test.each(['{', '{"', '}', '{}', '<think>', '</think>', '"', '\\', '[', '{"a":', '{{}', '{"a":1'])(
    '200 kB of %s take a moment',
    (unit) => {
      expect(costOf(() => jsonValues(unit.repeat(200_000 / unit.length)))).toBeLessThan(2_000);
    }
  );
});
