import { expect, test } from 'vitest';
import { nearest } from './spelling.ts';

const KNOWN = ['query', 'question', 'patientId', 'limit', 'minSimilarity', 'id'];

test.each([
  ['qury', 'query'],
  ['qestion', 'question'],
  ['quesiton', 'question'],
  ['patientid', 'patientId'],
  ['patient_id', 'patientId'],
  ['patient', 'patientId'],
  ['Limit', 'limit'],
  ['limits', 'limit'],
  ['minSimilarty', 'minSimilarity'],
  ['ids', 'id'],
])('%s was meant to be %s', (name, meant) => {
  expect(nearest(name, KNOWN)).toBe(meant);
});

test.each(['text', 'q', 'query2000', 'resourceTypes', '', 'x'.repeat(41)])('%s resembles nothing', (name) => {
  expect(nearest(name, KNOWN)).toBeUndefined();
});

test('the nearest of several counts, and the first of those that are as near', () => {
  expect(nearest('dates', ['gates', 'date', 'dates_'])).toBe('dates_');
  expect(nearest('code', ['mode', 'node'])).toBe('mode');
});

test('a thousand names cost no more than a hundred', () => {
  expect(nearest('query', [...Array.from({ length: 100 }, (_, index) => `other${index}`), 'qury'])).toBeUndefined();
});
