import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { costOf } from '../../../test/support/cost.ts';
import { ATTACKS, ORDINARY_NOTES } from '../../../test/support/notes.ts';
import { citedSentences, contentWords, ground, reasonToDrop } from './grounding.ts';
import { violation } from './json-schema.ts';
import { type Source, Sources } from './sources.ts';

function sourcesOf(...texts: string[]): Sources {
  const sources = new Sources();
  for (const [index, text] of texts.entries()) {
    sources.add({ reference: `Observation/${index}`, date: '2024-01-10', title: 'Hemoglobin A1c', text });
  }
  return sources;
}

const source = (text: string, more: Partial<Source> = {}): Source => ({
  id: 'S1',
  reference: 'Observation/1',
  date: '2024-01-10',
  title: 'Result',
  text,
  ...more,
});

const HBA1C = 'Observation: Hemoglobin A1c (LOINC 4548-4)\nValue: 8.2 %';

describe('A sentence stays', () => {
  test('with the sources that it cites, when they bear it out', () => {
    const sources = sourcesOf(HBA1C, 'Observation: Hemoglobin A1c\nValue: 7.1 %');
    const { kept, warnings } = ground(
      [{ text: 'HbA1c was 8.2 % and is 7.1 % now.', citations: ['S1', 'S2'] }],
      sources
    );
    expect(kept).toEqual([
      { text: 'HbA1c was 8.2 % and is 7.1 % now.', sources: [sources.find('S1'), sources.find('S2')] },
    ]);
    expect(warnings).toEqual([]);
  });

  test.each([
    ['an id in brackets', ['[S1]']],
    ['an id in small letters', ['s1']],
    ['an id with spaces', [' S1 ']],
    ['an id twice', ['S1', 'S1']],
    ['two ids in one text', ['S1, S2']],
  ])('cited by %s', (_name, citations) => {
    const { kept, warnings } = ground([{ text: 'HbA1c was 8.2 %.', citations }], sourcesOf(HBA1C, HBA1C));
    expect(kept).toHaveLength(1);
    expect(warnings).toEqual([]);
  });

  test.each([
    ['HbA1c was 8.2 % [S1].', 'HbA1c was 8.2 %.'],
    ['HbA1c was 8.2 % [S1, S2].', 'HbA1c was 8.2 %.'],
    ['HbA1c was 8.2 % [S1][S2].', 'HbA1c was 8.2 %.'],
    ['HbA1c was 8.2 % (S1; S2).', 'HbA1c was 8.2 %.'],
    ['HbA1c was 8.2 % (see S1).', 'HbA1c was 8.2 %.'],
    ['HbA1c was 8.2 % (Source: S1).', 'HbA1c was 8.2 %.'],
    ['HbA1c was 8.2 % [S1-S2].', 'HbA1c was 8.2 %.'],
    ['HbA1c was 8.2 %【S1】.', 'HbA1c was 8.2 %.'],
    ['HbA1c was 8.2 % [S1 0123456789ab].', 'HbA1c was 8.2 %.'],
    ['HbA1c was 8.2 %. [removed] [S1]', 'HbA1c was 8.2 %.'],
  ])('"%s" without its marks', (text, shown) => {
    const { kept, warnings } = ground([{ text, citations: [] }], sourcesOf(HBA1C, HBA1C));
    expect(kept.map((sentence) => sentence.text)).toEqual([shown]);
    expect(warnings).toEqual([]);
  });

  test.each(['S12', 'S99'])('%s in a sentence of its own right is no mark and no number', (id) => {
    const { kept, warnings } = ground([{ text: `HbA1c was 8.2 % [${id}].`, citations: ['S1'] }], sourcesOf(HBA1C));
    expect(kept.map((sentence) => sentence.text)).toEqual(['HbA1c was 8.2 %.']);
    expect(warnings).toEqual(['UNKNOWN_CITATION']);
  });

  test.each([
    ['in another language, by its number', 'Kalium betrug 4,1 mmol/l.', 'Observation: Potassium\nValue: 4.1 mmol/L'],
    ['in Chinese', '患者有哮喘病史。', '诊断：支气管哮喘'],
    ['in Russian', 'У пациента бронхиальная астма.', 'Диагноз: бронхиальная астма'],
    ['by another form of a word', 'She takes metformin tablets.', 'Medication: Metformin 500 mg'],
    ['with a colon after data', 'Laboratory data: HbA1c 8.2 %.', HBA1C],
    ['with less and greater', 'CRP <5 mg/L, D-dimer > 500.', 'CRP: < 5 mg/L\nD-dimer: > 500'],
  ])('%s', (_name, text, said) => {
    expect(reasonToDrop(text, [source(said)])).toBeUndefined();
  });
});

describe('A sentence goes', () => {
  test.each([
    ['that cites nothing', 'HbA1c was 8.2 %.', [], ['UNCITED_SENTENCE']],
    ['that cites what is not there', 'HbA1c was 8.2 %.', ['S99'], ['UNKNOWN_CITATION', 'UNCITED_SENTENCE']],
    ['that cites a reference', 'HbA1c was 8.2 %.', ['Observation/0'], ['UNKNOWN_CITATION', 'UNCITED_SENTENCE']],
    [
      'that cites something with an id in it',
      'HbA1c was 8.2 %.',
      ['XS1', 'S1S'],
      ['UNKNOWN_CITATION', 'UNCITED_SENTENCE'],
    ],
    ['that is empty', ' ', ['S1'], ['UNCITED_SENTENCE']],
    ['that is a mark only', '[S1]', ['S1'], ['UNCITED_SENTENCE']],
    ['that is what was taken out', '[removed]', ['S1'], ['UNCITED_SENTENCE']],
    ['with an invented number', 'HbA1c was 9.2 %.', ['S1'], ['UNSUPPORTED_NUMBER']],
    ['with an invented date', 'HbA1c was 8.2 % on 2024-02-10.', ['S1'], ['UNSUPPORTED_NUMBER']],
    ['with the day of its source for a value', 'HbA1c was 10 %.', ['S1'], ['UNSUPPORTED_NUMBER']],
    ['with the code of its source for a value', 'HbA1c was 4 %.', ['S1'], ['UNSUPPORTED_NUMBER']],
    ['with an id', `HbA1c of ${randomUUID()} was 8.2 %.`, ['S1'], ['UNSUPPORTED_NUMBER']],
    ['that has nothing of its source', 'The lungs are clear.', ['S1'], ['UNSUPPORTED_STATEMENT']],
    ['that shares only a date', 'Cancer since 2024.', ['S1'], ['UNSUPPORTED_STATEMENT']],
    ['with a link', 'HbA1c was 8.2 %, see https://evil.example/?q=8.2', ['S1'], ['UNSAFE_TEXT']],
    ['with a bare host', 'HbA1c was 8.2 %, see evil.com', ['S1'], ['UNSAFE_TEXT']],
    ['with an image', 'HbA1c was 8.2 % ![x](y)', ['S1'], ['UNSAFE_TEXT']],
    ['with a tag', 'HbA1c was 8.2 % <img src=x>', ['S1'], ['UNSAFE_TEXT']],
    ['with data in a link', 'HbA1c was 8.2 % data:text/html;base64', ['S1'], ['UNSAFE_TEXT']],
  ])('%s', (_name, text, citations, warnings) => {
    expect(ground([{ text, citations }], sourcesOf(HBA1C))).toEqual({ kept: [], warnings });
  });

  test.each(ATTACKS)('that passes an order on, even from its own source: %s', (attack) => {
    expect(reasonToDrop(attack, [source(attack)])).toBe('UNSAFE_TEXT');
  });

  test('alone, and the others stay; a reason is told once', () => {
    const { kept, warnings } = ground(
      [
        { text: 'HbA1c was 8.2 %.', citations: ['S1', 'S99'] },
        { text: 'HbA1c was 5 %.', citations: ['S1'] },
        { text: 'HbA1c was 6 %.', citations: ['S1'] },
      ],
      sourcesOf(HBA1C)
    );
    expect(kept.map(({ text }) => text)).toEqual(['HbA1c was 8.2 %.']);
    expect(kept[0]?.sources.map(({ id }) => id)).toEqual(['S1']);
    expect(warnings).toEqual(['UNKNOWN_CITATION', 'UNSUPPORTED_NUMBER']);
  });
});

describe('Whatever the sentences', () => {
  test('a sentence that is its source word for word stays', () => {
    for (const note of ORDINARY_NOTES.filter((each) => contentWords(each).size > 0)) {
      expect([note, reasonToDrop(note, [source(note)])]).toEqual([note, undefined]);
    }
  });

  test('what is kept cites a source that is there, and has no mark in it', () => {
    const piece = fc.constantFrom(
      'HbA1c',
      '8.2 %',
      '9.9',
      '[S1]',
      '[S7]',
      'S3',
      '2024-01-10',
      'https://x',
      '.',
      'no',
      'was'
    );
    const sentence = fc.record({
      text: fc.array(piece, { maxLength: 8 }).map((parts) => parts.join(' ')),
      citations: fc.array(fc.constantFrom('S1', 'S2', 'S9', '', 'x'), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(fc.array(sentence, { maxLength: 5 }), (sentences) => {
        const sources = sourcesOf(HBA1C, 'Lungs clear');
        const { kept } = ground(sentences, sources);
        for (const { text, sources: cited } of kept) {
          expect(cited.length).toBeGreaterThan(0);
          expect(cited.every((each) => sources.all.includes(each))).toBe(true);
          expect(text).not.toMatch(/\[S\d|https|9\.9/);
        }
      })
    );
  });

  test.each(['[S1', ' ', '[ S1 S1', 'a.', '9,', '<', 'ab1', '１', '-'])('200 kB of "%s" take a moment', (unit) => {
    const text = unit.repeat(200_000 / unit.length);
    expect(costOf(() => ground([{ text, citations: ['S1'] }], sourcesOf(HBA1C)))).toBeLessThan(3_000);
  });
});

describe('The schema of cited sentences', () => {
  const schema = citedSentences(2, 'What the record says.');

  test.each([
    ['none', [], undefined],
    ['one', [{ text: 'Yes.', citations: ['S1'] }], undefined],
    ['too many', [1, 2, 3].map(() => ({ text: 'Yes.', citations: ['S1'] })), 'answer: has too few or too many items'],
    ['one without citations', [{ text: 'Yes.' }], 'answer[0].citations: is missing'],
    ['one too long', [{ text: 'x'.repeat(1_001), citations: [] }], 'answer[0].text: is too long'],
    [
      'one with a field of its own',
      [{ text: 'Yes.', citations: [], patient: '1' }],
      'answer[0]: has a field that is not asked for',
    ],
  ])('%s', (_name, value, expected) => {
    expect(violation(value, schema)).toBe(expected);
  });
});
