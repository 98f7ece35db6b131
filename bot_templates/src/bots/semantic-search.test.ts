import { randomUUID } from 'node:crypto';
import type { Patient, Resource } from '@medplum/fhirtypes';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TestDatabase, WITHOUT_DATABASE } from '../../test/support/database.ts';
import { executeEvent, OTHER_PROJECT, PROJECT, subscriptionEvent } from '../../test/support/events.ts';
import { TestFhirServer } from '../../test/support/fhir-server.ts';
import { condition, note, observation, PATIENT } from '../../test/support/records.ts';
import { silence, status, TestRouter } from '../../test/support/router.ts';
import { handler as embed } from './embedding.ts';
import { handler } from './semantic-search.ts';

/** A result as a caller sees it. */
interface Result {
  resourceType: string;
  resourceId: string;
  patientId: string | null;
  similarity: number;
  matchedText?: string;
}

interface Output {
  success: boolean;
  results: Result[];
  filteredCount: number;
  warnings?: string[];
}

describe.skipIf(WITHOUT_DATABASE)('Semantic Search Bot (needs MEDBOTS_TEST_DATABASE_URL)', () => {
  const router = new TestRouter();
  const server = new TestFhirServer();
  const other = randomUUID();
  let database: TestDatabase;
  let values: Record<string, string>;

  const put = async (resource: Resource, project = PROJECT) => {
    const stored = server.put(resource);
    const output = await embed(
      server.client(),
      subscriptionEvent(stored, { ...values, MEDBOTS_PROJECT_ID: project, DATABASE_URL: database.url(project) })
    );
    expect(output).toMatchObject({ success: true });
    return stored;
  };
  const search = async (input: unknown, requester?: string, token = 'user', headers = {}) =>
    (await handler(server.client(token), executeEvent(input, values, requester, headers))) as unknown as Output;

  beforeAll(async () => {
    await router.start();
    await server.start();
    database = await TestDatabase.create();
    values = { LLM_ROUTER_URL: router.url, DATABASE_URL: database.url(), MEDBOTS_PROJECT_ID: PROJECT, EMBED_TIMEOUT_MS: '400' };
  });
  afterAll(async () => {
    await router.stop();
    await server.stop();
    await database.drop();
  });
  beforeEach(async () => {
    router.reset();
    server.rights.clear();
    server.created.length = 0;
    await database.clear();
    server.put<Patient>({ resourceType: 'Patient', id: PATIENT });
    server.put<Patient>({ resourceType: 'Patient', id: other });
  });

  test('finds by meaning, nearest first, with text and similarity', async () => {
    const asthma = await put(condition('Asthma with wheeze'));
    await put(condition('Fracture of the left wrist'));
    const output = await search({ query: 'Condition: Asthma with wheeze', patientId: PATIENT, minSimilarity: 0.3 });
    expect(output).toMatchObject({ success: true, queryEmbeddingGenerated: true, filteredCount: 0 });
    expect(output).not.toHaveProperty('warnings');
    expect(output.results[0]).toEqual({
      resourceType: 'Condition',
      resourceId: asthma.id,
      patientId: PATIENT,
      similarity: expect.any(Number) as unknown,
      matchedText: expect.stringContaining('Asthma with wheeze') as unknown,
    });
    expect(output.results[0]?.similarity).toBeCloseTo(0.6, 2);
  });

  test('asks the router as a search, with the query prefix of the model', async () => {
    values = { ...values, EMBEDDING_PREFIX_MODE: 'nomic' };
    await search({ query: 'asthma', patientId: PATIENT });
    values = { ...values, EMBEDDING_PREFIX_MODE: 'none' };
    expect(router.calls[0]?.headers['x-clinic-task']).toBe('semantic_search');
    expect(router.calls[0]?.body.input).toEqual(['search_query: asthma']);
  });

  test('gives one result a resource, its best chunk', async () => {
    const long = await put(note(`${'The garden was sunny. '.repeat(120)}\n\nPlan:\nStart metformin.`));
    const output = await search({ query: 'Plan start metformin', patientId: PATIENT, minSimilarity: 0 });
    expect(output.results.map((result) => result.resourceId)).toEqual([long.id]);
    expect(output.results[0]?.matchedText).toContain('Start metformin.');
  });

  describe('filters', () => {
    test('by patient: nothing of another', async () => {
      await put(condition('Asthma'));
      const theirs = await put(condition('Asthma', { subject: { reference: `Patient/${other}` } }));
      const output = await search({ query: 'asthma', patientId: `Patient/${other}`, minSimilarity: 0 });
      expect(output.results.map((result) => result.resourceId)).toEqual([theirs.id]);
    });

    test.each([
      ['resourceTypes', { resourceTypes: ['Observation'] }, ['Observation']],
      ['contentType', { contentType: 'note' }, ['DocumentReference']],
      ['dateRange.start', { dateRange: { start: '2024-04-01' } }, ['DocumentReference']],
      ['dateRange.end', { dateRange: { end: '2024-02-28' } }, ['Observation']],
      ['both dates', { dateRange: { start: '2024-03-01', end: '2024-03-01' } }, ['Condition']],
      ['minSimilarity', { minSimilarity: 1 }, []],
      ['threshold, its other name', { minSimilarity: undefined, threshold: 1 }, []],
      ['limit', { limit: 1 }, ['Condition']],
    ])('by %s, for one patient and for all', async (_name, filter, types) => {
      await put(condition('Asthma'));
      await put(observation('Asthma control score', 19));
      await put(note('Asthma attack at night.'));
      for (const patientId of [PATIENT, undefined]) {
        const output = await search({ query: 'Condition Asthma Onset', patientId, minSimilarity: 0, ...filter });
        expect(output.results.map((result) => result.resourceType)).toEqual(types);
      }
    });

    test('a partly known date is within the range that it may be in', async () => {
      await put(condition('Asthma', { onsetDateTime: '2019' }));
      const within = (start: string, end: string) =>
        search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0, dateRange: { start, end } });
      expect((await within('2019-06-01', '2020-01-01')).results).toHaveLength(1);
      expect((await within('2020-01-01', '2021-01-01')).results).toHaveLength(0);
    });

    test('without snippets no text comes back', async () => {
      await put(condition('Asthma'));
      const output = await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0, includeSnippets: false });
      expect(output.results[0]).not.toHaveProperty('matchedText');
    });
  });

  describe('rights', () => {
    const onlyPatient = { mayRead: (resource: Resource) => !JSON.stringify(resource).includes(other) };

    test('a user with no right to a patient gets nothing of them, not even a count', async () => {
      await put(condition('Asthma', { subject: { reference: `Patient/${other}` } }));
      server.rights.set('user', onlyPatient);
      expect(await search({ query: 'asthma', patientId: other, minSimilarity: 0 })).toMatchObject({
        success: true,
        results: [],
        filteredCount: 0,
        warnings: ['PATIENT_NOT_FOUND'],
      });
    });

    test('hits that the user may not read are dropped and counted, and others take their place', async () => {
      for (let index = 0; index < 3; index++) {
        await put(condition('Asthma', { subject: { reference: `Patient/${other}` } }));
      }
      const mine = await put(condition('Asthma since childhood'));
      server.rights.set('user', onlyPatient);
      const output = await search({ query: 'Condition Asthma', limit: 2, minSimilarity: 0 });
      expect(output.results.map((result) => result.resourceId)).toEqual([mine.id]);
      expect(output.filteredCount).toBe(3);
    });

    test('a type that the user may not read at all is dropped', async () => {
      await put(condition('Asthma'));
      await put(observation('Asthma control score', 19));
      server.rights.set('user', { forbidden: ['Condition'] });
      const output = await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 });
      expect(output.results.map((result) => result.resourceType)).toEqual(['Observation']);
    });

    test('text of a type with hidden fields stays back', async () => {
      await put(condition('Asthma', { note: [{ text: 'A confidential remark' }] }));
      server.rights.set('user', {
        accessPolicy: { resource: [{ resourceType: 'Condition', hiddenFields: ['note'] }] },
      });
      const output = await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 });
      expect(output.results).toHaveLength(1);
      expect(JSON.stringify(output)).not.toContain('confidential');
    });

    test.each([
      ['Patient', `Patient/${PATIENT}`],
      ['ClientApplication', `ClientApplication/${randomUUID()}`],
      ['Bot', `Bot/${randomUUID()}`],
      ['RelatedPerson', `RelatedPerson/${randomUUID()}`],
    ])('a %s may not search across patients', async (_name, requester) => {
      expect(await search({ query: 'asthma' }, requester)).toMatchObject({ success: false, errorCode: 'UNAUTHORIZED' });
      expect(router.calls).toEqual([]);
    });

    test('a patient may search their own record', async () => {
      await put(condition('Asthma'));
      const output = await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 }, `Patient/${PATIENT}`);
      expect(output.results).toHaveLength(1);
    });

    test('another project\'s rows are never found', async () => {
      await put(condition('Asthma'), OTHER_PROJECT);
      expect(await search({ query: 'asthma', minSimilarity: 0 })).toMatchObject({ results: [], filteredCount: 0 });
      expect(await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 })).toMatchObject({ results: [] });
    });
  });

  describe('rows that are behind the record', () => {
    test('of a deleted resource are dropped', async () => {
      server.remove(await put(condition('Asthma')));
      const output = await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 });
      expect(output).toMatchObject({ results: [], filteredCount: 1 });
    });

    test('of an older version are dropped', async () => {
      const stored = await put(condition('Asthma'));
      server.put(condition('Something else', { id: stored.id }));
      const output = await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 });
      expect(output).toMatchObject({ results: [], filteredCount: 1 });
    });

    test('of another model are not searched', async () => {
      await put(condition('Asthma'));
      await database.admin.query("UPDATE clinical_embeddings SET model_version = 'older-model/768/none'");
      expect(await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 })).toMatchObject({ results: [], filteredCount: 0 });
    });
  });

  describe('audit', () => {
    test('a search leaves an event with the query\'s hash and length, never its words', async () => {
      const output = await search({ query: 'suspected syphilis', patientId: PATIENT }, 'Practitioner/p1', 'user', {
        'X-Medplum-On-Behalf-Of': 'Practitioner/p2',
      });
      expect(output.success).toBe(true);
      expect(server.audits).toMatchObject([
        {
          type: { code: 'rest' },
          subtype: [{ code: 'operation' }, { system: 'urn:medbots/ai-audit-event', code: 'semantic_search' }],
          action: 'E',
          outcome: '0',
          agent: [{ requestor: false }, { who: { reference: 'Practitioner/p1' }, requestor: true }],
          entity: [
            { what: { reference: `Patient/${PATIENT}` } },
            {
              detail: [
                { type: 'query-sha256', valueString: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown },
                { type: 'query-length', valueString: '18' },
                { type: 'results', valueString: '0' },
                { type: 'filtered', valueString: '0' },
                { type: 'on-behalf-of', valueString: 'Practitioner/p2' },
              ],
            },
          ],
        },
      ]);
      expect(JSON.stringify(server.audits)).not.toContain('syphilis');
    });

    test('that cannot be written is told, and the search goes on', async () => {
      await put(condition('Asthma'));
      server.rights.set('user', { mayCreate: () => false });
      const output = await search({ query: 'asthma', patientId: PATIENT, minSimilarity: 0 });
      expect(output).toMatchObject({ success: true, warnings: ['AUDIT_FAILED'] });
      expect(output.results).toHaveLength(1);
    });
  });

  describe('bad input', () => {
    test.each([
      ['no query', {}],
      ['a blank query', { query: '  ' }],
      ['a query that is no text', { query: 7 }],
      ['a query too long', { query: 'x'.repeat(2_001) }],
      ['limit 0', { limit: 0 }],
      ['limit 51', { limit: 51 }],
      ['half a limit', { limit: 2.5 }],
      ['a limit as text', { limit: '10' }],
      ['minSimilarity above 1', { minSimilarity: 1.1 }],
      ['minSimilarity and another threshold', { minSimilarity: 0.2, threshold: 0.3 }],
      ['a patient of another type', { patientId: `Practitioner/${PATIENT}` }],
      ['a patient that is no id', { patientId: "x' OR true --" }],
      ['a misspelt patient', { patientID: PATIENT }],
      ['an unknown type', { resourceTypes: ['Patient'] }],
      ['no types', { resourceTypes: [] }],
      ['a date that is none', { dateRange: { start: '2024-02-30' } }],
      ['dates the wrong way round', { dateRange: { start: '2024-03-01', end: '2024-02-01' } }],
      ['a date range with another field', { dateRange: { from: '2024-03-01' } }],
      ['a date range that is none', { dateRange: '2024' }],
      ['snippets that are no boolean', { includeSnippets: 'yes' }],
    ])('%s is INVALID_INPUT, and asks no model', async (_name, input) => {
      const complete = 'query' in input || _name === 'no query' ? input : { query: 'asthma', ...input };
      expect(await search(complete)).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
      expect(router.calls).toEqual([]);
    });

    test('a resource is no question', async () => {
      const input = { resourceType: 'Task', meta: {}, input: { query: 'asthma' } };
      expect(await search(input)).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
    });
  });

  describe('failures are told, never papered over with keywords', () => {
    test('a router that is down', async () => {
      router.faults = [status(503), status(503)];
      expect(await search({ query: 'asthma', patientId: PATIENT })).toEqual({
        success: false,
        errorCode: 'LLM_ROUTER_ERROR',
        message: 'The model router answered HTTP 503',
        details: { requestId: expect.any(String) as unknown, status: 503 },
      });
      expect(server.audits).toMatchObject([{ outcome: '8' }]);
    });

    test('a router that is slow', async () => {
      router.faults = [silence];
      expect(await search({ query: 'asthma', patientId: PATIENT })).toMatchObject({ success: false, errorCode: 'TIMEOUT' });
    });

    test('a model of another dimension', async () => {
      router.dimension = 1536;
      expect(await search({ query: 'asthma', patientId: PATIENT })).toMatchObject({
        errorCode: 'DIMENSION_MISMATCH',
        message: 'expected 768 dimensions, got 1536',
      });
    });

    test('a database that is down', async () => {
      const input = executeEvent({ query: 'asthma', patientId: PATIENT }, { ...values, DATABASE_URL: 'postgresql://a@127.0.0.1:1/b' });
      expect(await handler(server.client(), input)).toMatchObject({ success: false, errorCode: 'DB_ERROR' });
    });
  });
});
