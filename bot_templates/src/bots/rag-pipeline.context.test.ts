import type { Observation } from '@medplum/fhirtypes';
import { beforeEach, describe, expect, test } from 'vitest';
import { asking, ref, saying, UNANSWERABLE } from '../../test/support/asking.ts';
import { type Output, useClinic } from '../../test/support/clinic.ts';
import { WITHOUT_DATABASE } from '../../test/support/database.ts';
import { a1c, type Diabetic, diabetic, NOTE, noteOf, result } from '../../test/support/diabetic.ts';

describe.skipIf(WITHOUT_DATABASE)('RAG Pipeline Bot (needs MEDBOTS_TEST_DATABASE_URL)', () => {
  const clinic = useClinic(['embedding', 'rag-pipeline', 'audit-logging'], { withDatabase: true });
  let known: Diabetic;

  beforeEach(async () => {
    await clinic.setSecrets({});
    await clinic.database.clear();
    known = await diabetic(clinic);
  });

  const { ask, embedded, shown } = asking(clinic, () => known);
  const references = (output: Output): string[] =>
    output.contextUsed.map(({ reference }: { reference: string }) => reference);

  describe('shows the model', () => {
    test('the nearest first, a record once, and no name', async () => {
      await embedded(known.note);
      await embedded(known.july);
      clinic.router.chat = UNANSWERABLE;
      const output = await ask();
      const similarities: number[] = output.contextUsed.map(({ similarity }: { similarity: number }) => similarity);
      expect(similarities).toEqual([...similarities].sort((one, other) => other - one));
      expect(output.contextUsed[0]).toMatchObject({
        id: 'S1',
        kind: 'series',
        reference: ref(known.july),
        references: [ref(known.january), ref(known.july)],
        similarity: 0.9,
        basis: 'code',
        date: '2024-07-02',
      });
      expect(new Set(references(output)).size).toBe(references(output).length);
      expect(shown().match(/7\.1 %/g)?.length).toBe(
        shown()
          .split('[S2 ')[0]
          ?.match(/7\.1 %/g)?.length
      );
    });

    test('a whole series with what code makes of it', async () => {
      clinic.router.chat = UNANSWERABLE;
      await ask();
      expect(shown()).toContain(
        [
          'Series of values: HbA1c: Hemoglobin A1c (LOINC 4548-4), in %',
          'Number of values: 2',
          '2024-01-10: 8.2 %',
          '2024-07-02: 7.1 %',
          'First: 8.2 % on 2024-01-10',
          'Last: 7.1 % on 2024-07-02',
          'Direction: falling, each value is lower than the one before or the same',
          'The last value is 1.1 percentage points lower than the first',
        ].join('\n')
      );
    });

    test('more values of a series than a chart has', async () => {
      for (let month = 1; month <= 12; month++) {
        await clinic.create(a1c(known.patient.id, 6 + month / 10, `2020-${String(month).padStart(2, '0')}-01`));
      }
      clinic.router.chat = UNANSWERABLE;
      const output = await ask();
      expect(output.contextUsed[0].references).toHaveLength(14);
      expect(shown()).toContain('Lowest: 6.1 % on 2020-01-01');
      expect(shown()).toContain('Direction: varying');
    });

    test('an Observation of no category, and one without a code', async () => {
      const subject = { reference: `Patient/${known.patient.id}` };
      const smoking: Observation = {
        resourceType: 'Observation',
        status: 'final',
        subject,
        code: { text: 'Smoking' },
        valueString: 'former smoker',
      };
      const stored = await clinic.create(smoking);
      clinic.router.chat = saying(['She is a former smoker.', 'former smoker']);
      expect(await ask({ question: 'Does she smoke?' })).toMatchObject({
        refused: false,
        citations: [{ source: ref(stored) }],
      });
    });

    test('procedures and immunizations where history is asked for, and not else', async () => {
      const subject = { reference: `Patient/${known.patient.id}` };
      const operation = await clinic.create({
        resourceType: 'Procedure' as const,
        status: 'completed' as const,
        subject,
        code: { text: 'Appendectomy' },
        performedDateTime: '1999-05-01',
      });
      clinic.router.chat = saying(['She had an appendectomy on 1999-05-01.', 'Appendectomy']);
      const output = await ask({ question: 'Which operations were done?' });
      expect(output).toMatchObject({
        questionType: 'history',
        refused: false,
        citations: [{ source: ref(operation) }],
      });
      clinic.router.chat = UNANSWERABLE;
      await ask({ question: 'What is the potassium?' });
      expect(shown()).not.toContain('Appendectomy');
    });

    test('every series where the course of all is asked for', async () => {
      await clinic.create(result(known.patient.id, '2823-3', 'Potassium', 4.4, 'mmol/L', '2024-08-02'));
      clinic.router.chat = UNANSWERABLE;
      const output = await ask({ question: 'How did the labs change over time?' });
      const series = output.contextUsed.filter(({ kind }: { kind: string }) => kind === 'series');
      expect(series.map(({ title }: { title: string }) => title)).toEqual(['Potassium', 'HbA1c: Hemoglobin A1c']);
    });

    test('blood pressure by its components', async () => {
      const pressure = (systolic: number, date: string): Observation => ({
        ...result(known.patient.id, '85354-9', 'Blood pressure panel', 0, '', date),
        valueQuantity: undefined as never,
        component: [
          {
            code: { coding: [{ system: 'http://loinc.org', code: '8480-6', display: 'Systolic blood pressure' }] },
            valueQuantity: { value: systolic, unit: 'mmHg' },
          },
          {
            code: { coding: [{ system: 'http://loinc.org', code: '8462-4', display: 'Diastolic blood pressure' }] },
            valueQuantity: { value: 80, unit: 'mmHg' },
          },
        ],
      });
      await clinic.create(pressure(150, '2024-01-10'));
      await clinic.create(pressure(135, '2024-07-02'));
      clinic.router.chat = UNANSWERABLE;
      const output = await ask({ question: 'How did the blood pressure change?' });
      expect(output.questionType).toBe('trend');
      expect(output.contextUsed.filter(({ kind }: { kind: string }) => kind === 'series')).toHaveLength(2);
      expect(shown()).toMatch(/Systolic blood pressure[^]*Direction: falling/);
      expect(shown()).toMatch(/Diastolic blood pressure[^]*Direction: unchanged/);
    });

    test('at most as many passages of notes as asked for', async () => {
      for (let index = 0; index < 4; index++) {
        await embedded(noteOf(known.patient.id, `Numbness of the feet, visit ${'abcd'[index]}.`));
      }
      clinic.router.chat = UNANSWERABLE;
      const output = await ask({ question: 'Numbness of the feet?', maxContextChunks: 2 });
      expect(output.contextUsed.filter(({ kind }: { kind: string }) => kind === 'chunk')).toHaveLength(2);
    });

    test('nothing that was entered in error, resolved or refuted as a fact', async () => {
      await clinic.create(a1c(known.patient.id, 99, '2024-08-01', { status: 'entered-in-error' }));
      const subject = { reference: `Patient/${known.patient.id}` };
      const refuted = {
        resourceType: 'Condition' as const,
        subject,
        code: { text: 'Myasthenia' },
        verificationStatus: {
          coding: [
            {
              system: 'http://terminology.hl7.org/CodeSystem/condition-ver-status',
              code: 'refuted',
              display: 'Refuted',
            },
          ],
        },
      };
      await embedded(refuted);
      clinic.router.chat = UNANSWERABLE;
      await ask({ question: 'HbA1c and myasthenia?' });
      expect(shown()).not.toContain('99 %');
      expect(shown()).not.toContain('Condition: Myasthenia');
    });

    test('not what changed since it was embedded', async () => {
      const note = await embedded(noteOf(known.patient.id, 'Numbness of the left hand.'));
      await clinic.admin.updateResource({ ...noteOf(known.patient.id, 'Corrected: right hand.'), id: note.id });
      clinic.router.chat = UNANSWERABLE;
      const output = await ask({ question: 'Numbness of the left hand?' });
      expect(output.filteredCount).toBe(1);
      expect(shown()).not.toContain('left hand.\n[/');
    });
  });

  test(`the note of these tests is found whole: ${NOTE.length} characters`, async () => {
    await embedded(known.note);
    clinic.router.chat = UNANSWERABLE;
    await ask({ question: 'Feet inspected, no ulcer?' });
    expect(shown()).toContain(NOTE);
  });
});
