import { describe, expect, test } from 'vitest';
import { costOf } from '../../../test/support/cost.ts';
import { a1c } from '../../../test/support/diabetic.ts';
import type { Source } from '../model/sources.ts';
import { citationsOf } from './citations.ts';
import type { Passage } from './passages.ts';
import { seriesOf, seriesText } from './series.ts';

const [series] = seriesOf(
  [
    { ...a1c('p', 8.2, '2024-01-10'), id: 'january' },
    { ...a1c('p', 7.5, '2024-03-02'), id: 'march' },
    { ...a1c('p', 7.1, '2024-07-02'), id: 'july' },
  ],
  () => true
);

function passage(more: Partial<Passage>): Passage {
  return {
    kind: 'fact',
    reference: 'Condition/1',
    date: '2024',
    title: 'T',
    text: '',
    similarity: 1,
    basis: 'kind',
    ...more,
  };
}

function cited(sentence: string, found: Passage) {
  const source: Source = {
    id: 'S1',
    reference: found.reference,
    date: found.date,
    title: found.title,
    text: found.text,
  };
  return citationsOf([{ text: sentence, sources: [source] }], new Map([['S1', found]]));
}

describe('A series is cited', () => {
  const found = passage({ kind: 'series', reference: 'Observation/july', ...seriesText(series!), series: series! });

  test.each([
    ['by values', 'HbA1c was 8.2 % and then 7.1 %.', ['january', 'july']],
    ['by a day', 'HbA1c was measured on 2 March 2024.', ['march']],
    ['by values in another spelling', 'HbA1c: 8,2 %.', ['january']],
    ['whole, by none of them', 'HbA1c is falling.', ['january', 'march', 'july']],
  ])('%s', (_name, sentence, ids) => {
    expect(cited(sentence, found).map(({ source }) => source)).toEqual(ids.map((id) => `Observation/${id}`));
  });

  test("with the value's own line and day", () => {
    expect(cited('HbA1c was 8.2 %.', found)).toEqual([
      {
        text: 'HbA1c: Hemoglobin A1c\n2024-01-10: 8.2 %',
        source: 'Observation/january',
        date: '2024-01-10',
        sentence: 'HbA1c was 8.2 %.',
      },
    ]);
  });
});

describe('A record is cited', () => {
  test('whole, when it is short', () => {
    expect(cited('She has asthma.', passage({ text: 'Condition: Asthma\nOnset: 2019' }))).toMatchObject([
      { text: 'Condition: Asthma\nOnset: 2019', source: 'Condition/1', date: '2024' },
    ]);
  });

  test('by the sentence that says it, when it is long', () => {
    const text = `${'The weather was fine. '.repeat(20)}Reports numbness of both feet since March. ${'Nothing else. '.repeat(20)}`;
    expect(cited('She reports numbness of both feet.', passage({ text }))[0]?.text).toBe(
      'Reports numbness of both feet since March.'
    );
  });

  test('by the beginning of a sentence without end', () => {
    const [citation] = cited('Numbness.', passage({ text: `numbness ${'word '.repeat(200)}` }));
    expect(citation?.text).toMatch(/^numbness word[^]* …$/);
    expect(citation?.text.length).toBeLessThanOrEqual(303);
  });

  test('without a date where it has none', () => {
    expect(cited('She has asthma.', passage({ text: 'Asthma', date: undefined }))[0]?.date).toBeNull();
  });
});

test('a series of five hundred values is cited by what was shown of it, in a moment', () => {
  const many = Array.from({ length: 500 }, (_, index) => ({
    ...a1c(
      'p',
      index === 2 ? 99 : 7 + index / 1_000,
      new Date(Date.UTC(2020, 0, 1 + index)).toISOString().slice(0, 10)
    ),
    id: `o${index}`,
  }));
  const [long] = seriesOf(many, () => true);
  const found = passage({ kind: 'series', ...seriesText(long!), series: long! });
  expect(costOf(() => Array.from({ length: 12 }, () => cited('HbA1c rose.', found)))).toBeLessThan(2_000);
  expect(cited('HbA1c rose.', found).length).toBeLessThanOrEqual(63);
  expect(cited('The highest was 99 %.', found).map((each) => each.source)).toEqual(['Observation/o2']);
});
