import { randomUUID } from 'node:crypto';
import type { Resource } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { WITHOUT_DATABASE } from '../../test/support/database.ts';
import { OTHER_PROJECT } from '../../test/support/events.ts';
import { condition, observation, PATIENT } from '../../test/support/records.ts';
import { OTHER_PATIENT, useSearching } from '../../test/support/searching.ts';

describe.skipIf(WITHOUT_DATABASE)(
  'Semantic Search Bot: rights, and rows behind the record (needs MEDBOTS_TEST_DATABASE_URL)',
  () => {
    const { around, put, search } = useSearching();

    describe('rights', () => {
      const onlyPatient = { mayRead: (resource: Resource) => !JSON.stringify(resource).includes(OTHER_PATIENT) };

      test('a patient whom the user may not read is told from nobody, and nothing is searched', async () => {
        await put(condition('Asthma', { subject: { reference: `Patient/${OTHER_PATIENT}` } }));
        around.router.calls.length = 0;
        const nobody = randomUUID();
        const ask = (patientId: string) => search({ query: 'asthma', patientId, minSimilarity: 0 });
        const refused = (patientId: string) => ({
          success: false,
          errorCode: 'PATIENT_NOT_FOUND',
          message: `Patient/${patientId} does not exist, or may not be read`,
          details: { patientId },
        });
        for (const rights of [onlyPatient, { forbidden: ['Patient'] }]) {
          around.server.rights.set('user', rights);
          expect(await ask(OTHER_PATIENT)).toEqual(refused(OTHER_PATIENT));
          expect(await ask(nobody)).toEqual(refused(nobody));
        }
        expect(around.router.calls).toEqual([]);
      });

      test('hits that the user may not read are dropped and counted, and others take their place', async () => {
        for (let index = 0; index < 3; index++) {
          await put(condition('Asthma', { subject: { reference: `Patient/${OTHER_PATIENT}` } }));
        }
        const mine = await put(condition('Asthma since childhood'));
        around.server.rights.set('user', onlyPatient);
        const output = await search({ query: 'Condition Asthma', limit: 2, minSimilarity: 0 });
        expect(output.results.map((result) => result.resourceId)).toEqual([mine.id]);
        expect(output.filteredCount).toBe(3);
      });

      test('a type that the user may not read at all is dropped', async () => {
        await put(condition('Asthma'));
        await put(observation('Asthma control score', 19));
        around.server.rights.set('user', { forbidden: ['Condition'] });
        const output = await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 });
        expect(output.results.map((result) => result.resourceType)).toEqual(['Observation']);
      });

      test('text of a type with hidden fields stays back', async () => {
        await put(condition('Asthma', { note: [{ text: 'A confidential remark' }] }));
        around.server.rights.set('user', {
          accessPolicy: { resource: [{ resourceType: 'Condition', hiddenFields: ['note'] }] },
        });
        const output = await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 });
        expect(output.results).toHaveLength(1);
        expect(output.results[0]).not.toHaveProperty('matchedText');
      });

      test.each([
        ['Patient', `Patient/${PATIENT}`],
        ['ClientApplication', `ClientApplication/${randomUUID()}`],
        ['Bot', `Bot/${randomUUID()}`],
        ['RelatedPerson', `RelatedPerson/${randomUUID()}`],
      ])('a %s may not search across patients', async (_name, requester) => {
        expect(await search({ query: 'asthma' }, requester)).toMatchObject({
          success: false,
          errorCode: 'UNAUTHORIZED',
        });
        expect(around.router.calls).toEqual([]);
      });

      test('a patient may search their own record', async () => {
        await put(condition('Asthma'));
        const output = await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 }, `Patient/${PATIENT}`);
        expect(output.results).toHaveLength(1);
      });

      test("another project's rows are never found", async () => {
        await put(condition('Asthma'), OTHER_PROJECT);
        expect(await search({ query: 'asthma', minSimilarity: 0 })).toMatchObject({ results: [], filteredCount: 0 });
        expect(await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 })).toMatchObject({ results: [] });
      });
    });

    describe('rows that are behind the record', () => {
      test('of a deleted resource are dropped', async () => {
        around.server.remove(await put(condition('Asthma')));
        const output = await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 });
        expect(output).toMatchObject({ results: [], filteredCount: 1 });
      });

      test('of an older version are dropped', async () => {
        const stored = await put(condition('Asthma'));
        around.server.put(condition('Something else', { id: stored.id }));
        const output = await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 });
        expect(output).toMatchObject({ results: [], filteredCount: 1 });
      });

      test('of another model are not searched', async () => {
        await put(condition('Asthma'));
        await around.database.admin.query("UPDATE clinical_embeddings SET model_version = 'older-model/768/none'");
        expect(await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 })).toMatchObject({
          results: [],
          filteredCount: 0,
        });
      });
    });
  }
);
