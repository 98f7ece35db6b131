import type { DocumentReference } from '@medplum/fhirtypes';
import { expect, test } from 'vitest';
import { passagesOf, signedNotes } from './notes.ts';

const document = (more: Partial<DocumentReference> = {}): DocumentReference => ({
  resourceType: 'DocumentReference',
  id: '1',
  status: 'current',
  content: [{ attachment: { contentType: 'text/plain' } }],
  ...more,
});
const sources = { attachment: async () => ({ text: 'Asthma.' }) };
const AIAST = [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'AIAST' }];

test.each([
  ['final', document({ docStatus: 'final' }), 1],
  ['amended', document({ docStatus: 'amended' }), 1],
  ['without a docStatus', document(), 1],
  ["a model's that a person has signed", document({ docStatus: 'final', meta: { security: AIAST } }), 1],
  ["a model's without a docStatus", document({ meta: { security: AIAST } }), 0],
  ['preliminary', document({ docStatus: 'preliminary' }), 0],
  ['entered in error, by docStatus', document({ docStatus: 'entered-in-error' }), 0],
  ['superseded', document({ status: 'superseded' }), 0],
  ['entered in error', document({ status: 'entered-in-error' }), 0],
])('a note that is %s', async (_name, given, count) => {
  expect((await signedNotes([given], sources)).notes).toHaveLength(count);
});

test('what was entered in error is no gap, a draft is one', async () => {
  const given = [document({ docStatus: 'entered-in-error' }), document({ id: '2', docStatus: 'preliminary' })];
  expect((await signedNotes(given, sources)).gaps).toEqual([
    expect.objectContaining({ code: 'NOTE_NOT_SIGNED', references: ['DocumentReference/2'] }),
    expect.objectContaining({ code: 'NO_SIGNED_NOTE' }),
  ]);
});

test.each([
  ['without text', { reason: 'it is no text' }],
  ['too long', { text: 'Asthma. '.repeat(20_000) }],
])('a note that is %s is a gap', async (_name, attachment) => {
  const found = await signedNotes([document()], { attachment: async () => attachment });
  expect(found.notes).toEqual([]);
  expect(found.gaps).toMatchObject([{ code: 'NOTE_WITHOUT_TEXT', references: ['DocumentReference/1'] }]);
});

test('of more notes than ten the first ten are read, and it is said', async () => {
  const given = Array.from({ length: 12 }, (_, index) => document({ id: String(index) }));
  const found = await signedNotes(given, sources);
  expect(found.notes).toHaveLength(10);
  expect(found.warnings).toEqual(['CONTEXT_LIMITED']);
});

test('a short note is one passage', () => {
  expect(passagesOf('Assessment:\nAsthma.')).toEqual([{ text: 'Assessment:\nAsthma.', heading: '' }]);
});

test('a long note is cut at blank lines, and each passage knows its heading', () => {
  const paragraph = `${'Her mother has asthma. '.repeat(60)}\n`;
  const passages = passagesOf(`Family History:\n${paragraph}\n${paragraph}\n${paragraph}\n${paragraph}`);
  expect(passages.length).toBeGreaterThan(1);
  expect(passages.map(({ heading }) => heading)).toEqual(['', ...Array(passages.length - 1).fill('Family History')]);
  expect(passages.every(({ text }) => text.length <= 4_000)).toBe(true);
  expect(passages.slice(1).every(({ text }) => text.startsWith('\nHer mother'))).toBe(true);
});

test('nothing of a note is lost', () => {
  const lines = Array.from({ length: 900 }, (_, index) => `Line ${index} of the note.`);
  expect(
    passagesOf(lines.join('\n'))
      .map(({ text }) => text)
      .join('\n')
  ).toBe(lines.join('\n'));
});

test('a long note of short lines is cut in time', () => {
  const started = performance.now();
  passagesOf(`a\n\n${'b\n'.repeat(50_000)}`);
  passagesOf('HEADING\n'.repeat(12_000));
  expect(performance.now() - started).toBeLessThan(1_000);
});
