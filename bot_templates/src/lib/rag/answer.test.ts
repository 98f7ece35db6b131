import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { ANSWER_SCHEMA, confidenceOf, type GroundedAnswer, PROMPT } from './answer.ts';
import { SIMILARITY } from './passages.ts';

const PAGE = readFileSync(fileURLToPath(new URL('../../../../docs/bots/rag-pipeline.md', import.meta.url)), 'utf8');

describe('The page of the bot', () => {
  test('has the schema that is sent', () => {
    const shown = /^## Model schema\n[^]*?```json\n([^]*?)```/m.exec(PAGE)?.[1] as string;
    expect(JSON.parse(shown)).toEqual(ANSWER_SCHEMA.schema);
    expect(PAGE).toContain(`prompt \`${PROMPT.id}/${PROMPT.version}\`, schema \`${ANSWER_SCHEMA.name}\``);
  });

  test.each(Object.entries(SIMILARITY))('has the similarity by %s, %s', (basis, value) => {
    expect(PAGE).toMatch(new RegExp(`^\\| \`${basis}\` \\| ${value}[ :]`, 'm'));
  });
});

describe('Confidence', () => {
  const answer = (given: number, ...cited: string[][]): GroundedAnswer => ({
    kept: cited.map((ids) => ({
      text: 'x',
      sources: ids.map((id) => ({ id, reference: 'Observation/1', date: undefined, title: '', text: '' })),
    })),
    given,
    answerable: true,
    warnings: [],
    model: 'm',
    tokensUsed: { prompt: 0, completion: 0, total: 0 },
  });
  const similarityOf = (id: string): number => ({ S1: 0.9, S2: 0.3 })[id] ?? 0;

  test.each([
    ['the similarity of what is cited', answer(1, ['S1']), 0.9],
    ['the mean, each source once', answer(3, ['S1'], ['S1', 'S2'], ['S1']), 0.6],
    ['the share that stands', answer(4, ['S1']), 0.25],
    ['nothing without a sentence', answer(2), 0],
    ['nothing without anything', answer(0), 0],
  ])('is %s', (_name, given, expected) => {
    expect(confidenceOf(given, similarityOf)).toBeCloseTo(expected);
  });
});
