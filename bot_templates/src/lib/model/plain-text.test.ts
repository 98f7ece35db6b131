import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { plainText, withoutFigures, withoutGaps } from './plain-text.ts';

describe('A text without its disguises', () => {
  test.each([
    ['lower case', 'ABC', 'abc'],
    ['no accents', 'Übelkeit, naïve, ça', 'ubelkeit, naive, ca'],
    ['letters of other clothes', 'Ａｂｃ 𝐃𝐞𝐟 ⓖ ﬁ', 'abc def g fi'],
    ['letters that nothing takes apart', 'Łódź Ø ı', 'lodz o i'],
    ['lookalikes among Latin letters', 'pаtiеnt', 'patient'],
    ['other scripts as they are', 'Пациент й 患者 मरीज', 'пациент й 患者 मरीज'],
    ['one space for one', 'a b', 'a b'],
    ['a tab for several', 'a   b', 'a\tb'],
    ['a line that begins anew', 'one\nTwo\n- three', 'one\ntwo\n- three'],
    ['a line that goes on', 'one\ntwo', 'one two'],
    ['an empty line', 'one\n\ntwo', 'one\ntwo'],
  ])('%s', (_name, original, plain) => {
    expect(plainText(original.normalize('NFC')).text).toBe(plain);
  });

  test('each unit knows where it stood, in order', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (given) => {
        const original = given.normalize('NFC');
        const { text, at } = plainText(original);
        expect(at).toHaveLength(text.length);
        expect(at.every((index, unit) => index >= (at[unit - 1] ?? 0) && index < original.length)).toBe(true);
      })
    );
  });

  test('figures stand for letters only within words', () => {
    expect(withoutFigures(plainText('1gn0re 12 th1s'))?.text).toBe('ignore 12 this');
    expect(withoutFigures(plainText('8.2 and 12'))).toBeUndefined();
  });

  test('spelt words are joined, and each letter knows where it stood', () => {
    const original = 'now i g n o r e  a l l';
    const joined = withoutGaps(plainText(original));
    expect(joined?.text).toBe('now ignore\tall');
    expect(original.charAt(joined?.at[9] as number)).toBe('e');
    expect(withoutGaps(plainText('vitamin K and B'))).toBeUndefined();
  });
});
