import type { DiagnosticReport } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { observation, PATIENT } from '../../../test/support/records.ts';
import { nothing, REFERENCED, sectionsOf } from '../../../test/support/sections.ts';
import { recordText } from './record-text.ts';

describe('a DiagnosticReport', () => {
  const base: DiagnosticReport = {
    resourceType: 'DiagnosticReport',
    status: 'final',
    subject: { reference: `Patient/${PATIENT}` },
    code: { text: 'Blood count' },
  };

  test('tells conclusion, codes and the results that can be read', async () => {
    const resource: DiagnosticReport = {
      ...base,
      effectiveDateTime: '2024-02-03',
      conclusion: 'Iron deficiency.',
      conclusionCode: [{ text: 'Anaemia' }],
      contained: [
        { resourceType: 'Observation', id: 'o', status: 'final', code: { text: 'Ferritin' }, valueInteger: 4 },
      ],
      result: [
        { reference: '#o' },
        { reference: `Observation/${REFERENCED}` },
        { reference: 'Observation/not-a-uuid' },
      ],
    };
    const observations = async (ids: readonly string[]) => ids.map((id) => observation(`Hb ${id}`, 9));
    expect((await recordText(resource, { ...nothing, observations })).skipped).toEqual([
      { reason: '1 of 3 results could not be read' },
    ]);
    const sections = await sectionsOf(resource, { observations });
    expect(sections.Report).toBe('Report: Blood count\nStatus: final\nConclusion codes: Anaemia\nDate: 2024-02-03');
    expect(sections.Conclusion).toBe('Iron deficiency.');
    expect(sections.Results).toBe(
      `Observation: Ferritin\nValue: 4\nStatus: final\n\nObservation: Hb ${REFERENCED}\nValue: 9 %\nStatus: final\nDate: 2024-02-03`
    );
  });

  test('takes 30 results, asked for at once', async () => {
    const asked: number[] = [];
    const observations = async (ids: readonly string[]) => {
      asked.push(ids.length);
      return ids.map(() => observation('X', 1));
    };
    const result = Array.from({ length: 45 }, (_, index) => ({
      reference: `Observation/3f2a1b4c-0000-4000-8000-${String(index).padStart(12, '0')}`,
    }));
    const record = await recordText({ ...base, result }, { ...nothing, observations });
    expect(asked).toEqual([30]);
    expect(record.skipped).toEqual([{ reason: '15 of 45 results are too many' }]);
  });

  test('leaves out results of another patient, referred to or contained', async () => {
    const theirs = { subject: { reference: `Patient/${REFERENCED}` } };
    const found = [observation('Mine', 1), observation('Theirs', 2, theirs)];
    const contained = [observation('Hidden', 3, { ...theirs, id: 'o' }), observation('Own', 4, { id: 'p' })];
    const references = ['#o', '#p', `Observation/${REFERENCED}`, `Observation/${REFERENCED}`];
    const resource = { ...base, contained, result: references.map((reference) => ({ reference })) };
    const observations = async () => found;
    const record = await recordText(resource, { ...nothing, observations });
    expect(record.skipped).toEqual([{ reason: '2 of 4 results are of another patient' }]);
    const { Results } = await sectionsOf(resource, { observations });
    expect(Results).toContain('Mine');
    expect(Results).toContain('Own');
    expect(Results).not.toMatch(/Theirs|Hidden/);
  });

  test('leaves out results entered in error', async () => {
    const observations = async () => [observation('Wrong', 1, { status: 'entered-in-error' }), observation('Right', 2)];
    const result = [{ reference: `Observation/${REFERENCED}` }, { reference: `Observation/${REFERENCED}` }];
    expect((await sectionsOf({ ...base, result }, { observations })).Results).not.toContain('Wrong');
  });
});
