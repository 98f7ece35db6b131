import { describe, expect, test } from 'vitest';
import { costOf } from '../../../test/support/cost.ts';
import type { Source } from '../model/sources.ts';
import { reasonToDropFromAnswer } from './guards.ts';
import type { Passage } from './passages.ts';
import type { Direction } from './series.ts';

const source = (id: string, title: string, text: string, reference = 'Observation/1'): Source => ({
  id,
  reference,
  date: '2024-07-02',
  title,
  text,
});
const HBA1C = source('S1', 'HbA1c: Hemoglobin A1c', 'Value: 8.2 %');
const POTASSIUM = source('S2', 'Potassium', 'Value: 4.1 mmol/L');
const NOTE = source(
  'S3',
  'Progress note',
  'Denies chest pain. Metformin was increased to 1000 mg. Condition stable.',
  'DocumentReference/1'
);

function judged(text: string, sources: Source[], directions: Record<string, Direction | undefined> = {}) {
  const passages = new Map(
    sources.map(({ id }) => [id, (id in directions ? { series: { direction: directions[id] } } : {}) as Passage])
  );
  return reasonToDropFromAnswer({ text, sources }, passages);
}

describe('A sentence stays', () => {
  test.each([
    ['of the measure of its source', 'HbA1c was 8.2 %.', [HBA1C]],
    ['of two measures, each from its own', 'HbA1c was 8.2 % and potassium 4.1 mmol/L.', [HBA1C, POTASSIUM]],
    ['with a value of a note beside', 'HbA1c was 8.2 %, metformin was increased to 1000 mg.', [HBA1C, NOTE]],
    ['that denies what its source denies', 'She denies chest pain.', [NOTE]],
    ['that tells a course that its source tells', 'Metformin was increased to 1000 mg.', [NOTE]],
    ['that says stable where its source does', 'Her condition is stable.', [NOTE]],
  ])('%s', (_name, text, sources) => {
    expect(judged(text, sources)).toBeUndefined();
  });
});

describe('A sentence goes', () => {
  test.each([
    ['of another measure', 'Potassium was 8.2.', [HBA1C], 'UNSUPPORTED_STATEMENT'],
    ["with another measure's value", 'Potassium was 8.2.', [HBA1C, POTASSIUM], 'UNSUPPORTED_NUMBER'],
    ['with another unit', 'HbA1c was 8.2 mg/dL.', [HBA1C], 'UNSUPPORTED_NUMBER'],
    ['with another medicine', 'Warfarin was increased to 1000 mg.', [NOTE], 'UNSUPPORTED_MEDICATION'],
    ['that affirms what is denied', 'She has chest pain.', [NOTE], 'UNSUPPORTED_NEGATION'],
    ['that denies what is not', 'Metformin was not increased to 1000 mg.', [NOTE], 'UNSUPPORTED_NEGATION'],
    ['that tells a course of one value', 'HbA1c rose to 8.2 %.', [HBA1C], 'UNSUPPORTED_TREND'],
    ['that judges a course', 'HbA1c of 8.2 % has worsened.', [HBA1C], 'UNSUPPORTED_TREND'],
  ])('%s', (_name, text, sources, reason) => {
    expect(judged(text, sources)).toBe(reason);
  });
});

describe('A course', () => {
  test.each<[string, Direction | undefined, boolean]>([
    ['HbA1c fell.', 'falling', true],
    ['HbA1c fell.', 'varying', true],
    ['HbA1c fell.', 'rising', false],
    ['HbA1c fell.', 'unchanged', false],
    ['HbA1c fell.', undefined, false],
    ['HbA1c rose.', 'rising', true],
    ['HbA1c rose.', 'falling', false],
    ['HbA1c increased.', 'falling', false],
    ['HbA1c is decreasing.', 'falling', true],
    ['HbA1c ist gesunken.', 'falling', true],
    ['HbA1c ist gestiegen.', 'falling', false],
    ['HbA1c is unchanged.', 'unchanged', true],
    ['HbA1c is stable.', 'varying', false],
    ['HbA1c is 8.2 %.', undefined, true],
  ])('"%s" of a series that is %s stays: %s', (text, direction, stays) => {
    expect(judged(text, [HBA1C], { S1: direction })).toBe(stays ? undefined : 'UNSUPPORTED_TREND');
  });

  test('may be that of any series that is cited', () => {
    const other = source('S4', 'HbA1c: Hemoglobin A1c', 'Value: 60 mmol/mol');
    expect(judged('HbA1c fell.', [HBA1C, other], { S1: 'falling', S4: 'rising' })).toBeUndefined();
  });
});

test('twelve sentences that cite twenty long sources each are judged in a moment', () => {
  const long = Array.from({ length: 20 }, (_, index) =>
    source(
      `S${index}`,
      'Note',
      `HbA1c 8.2 %, potassium 4.1, creatinine ${index}. `.repeat(120),
      `DocumentReference/${index}`
    )
  );
  const judging = (): void => {
    for (let sentence = 0; sentence < 12; sentence++) {
      judged(`HbA1c was 8.2 %, potassium 4.1, creatinine ${sentence}. `.repeat(20), long);
    }
  };
  expect(costOf(judging)).toBeLessThan(5_000);
});
