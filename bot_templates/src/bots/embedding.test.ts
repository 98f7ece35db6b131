import { randomUUID } from 'node:crypto';
import type { Condition, Resource } from '@medplum/fhirtypes';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TestDatabase, WITHOUT_DATABASE } from '../../test/support/database.ts';
import { executeEvent, OTHER_PROJECT, PROJECT, subscriptionEvent } from '../../test/support/events.ts';
import { TestFhirServer } from '../../test/support/fhir-server.ts';
import { condition, note, PATIENT } from '../../test/support/records.ts';
import { answer, hangUp, silence, status, TestRouter } from '../../test/support/router.ts';
import { handler } from './embedding.ts';

describe.skipIf(WITHOUT_DATABASE)('Embedding Bot (needs MEDBOTS_TEST_DATABASE_URL)', () => {
  const router = new TestRouter();
  const server = new TestFhirServer();
  let database: TestDatabase;
  let values: Record<string, string>;

  beforeAll(async () => {
    await router.start();
    await server.start();
    database = await TestDatabase.create();
  });
  afterAll(async () => {
    await router.stop();
    await server.stop();
    await database.drop();
  });
  beforeEach(async () => {
    router.reset();
    server.created.length = 0;
    server.requests.length = 0;
    server.beforeRead = undefined;
    await database.clear();
    values = {
      LLM_ROUTER_URL: router.url,
      LLM_API_KEY: 'sk-test',
      DATABASE_URL: database.url(),
      MEDBOTS_PROJECT_ID: PROJECT,
      EMBED_TIMEOUT_MS: '400',
    };
  });

  /** Runs the bot as a subscription does. */
  const deliver = (resource: Resource) => handler(server.client(), subscriptionEvent(resource, values));
  const execute = (input: unknown) => handler(server.client(), executeEvent(input, values));
  const texts = async () => (await database.rows()).map((row) => row.content_text);

  describe('a new record', () => {
    test('becomes one row with everything that the table wants to know', async () => {
      const stored = server.put(condition('Type 2 diabetes mellitus'));
      expect(await deliver(stored)).toEqual({
        success: true,
        resourceType: 'Condition',
        resourceId: stored.id,
        embeddingsCreated: 1,
        chunksProcessed: 1,
      });
      const [row, ...others] = await database.rows();
      expect(others).toEqual([]);
      expect(row).toMatchObject({
        project_id: PROJECT,
        fhir_resource_type: 'Condition',
        fhir_resource_id: stored.id,
        version_id: stored.meta.versionId,
        patient_id: PATIENT,
        content_type: 'structured',
        content_section: 'Condition',
        chunk_index: 0,
        chunk_count: 1,
        content_text: '[Condition | 2024-03-01 | Condition]\nCondition: Type 2 diabetes mellitus\nOnset: 2024-03-01',
        model_version: 'embedding-model/768/none',
        resource_updated_at: new Date(stored.meta.lastUpdated),
      });
      expect(row?.content_hash).toMatch(/^[0-9a-f]{64}$/);
    });

    test('is told to the router by task, bot and request, never by patient', async () => {
      await deliver(server.put(condition('Asthma')));
      expect(router.calls).toHaveLength(1);
      const [call] = router.calls;
      expect(call?.path).toBe('/v1/embeddings');
      expect(call?.body.model).toBe('embedding-model');
      expect(call?.headers).toMatchObject({
        authorization: 'Bearer sk-test',
        'x-client-id': 'medbots',
        'x-clinic-task': 'embedding',
        'x-bot-name': 'Embedding Bot',
        'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown,
      });
      expect(JSON.stringify([call?.headers, call?.body])).not.toContain(PATIENT);
      expect(JSON.stringify(call?.body)).not.toContain('Eleanor');
    });

    test('gets the document prefix of its model, and rows of their own model version', async () => {
      const stored = server.put(condition('Asthma'));
      await deliver(stored);
      values.EMBEDDING_PREFIX_MODE = 'nomic';
      await deliver(stored);
      expect(router.calls[1]?.body.input?.[0]).toMatch(/^search_document: \[Condition/);
      expect((await database.rows()).map((row) => row.model_version)).toEqual(
        expect.arrayContaining(['embedding-model/768/none', 'embedding-model/768/nomic'])
      );
    });

    test('is read again: what the event says is not believed', async () => {
      const stored = server.put(condition('Asthma'));
      await deliver({ ...stored, code: { text: 'Forged' } } as Condition);
      expect(await texts()).toEqual([expect.stringContaining('Asthma')]);
    });

    test('without a patient has none in its row', async () => {
      await deliver(server.put(condition('Asthma', { subject: { reference: `Group/${randomUUID()}` } })));
      expect((await database.rows())[0]?.patient_id).toBeNull();
    });
  });

  describe('events again, out of order and at once', () => {
    test('a replay calls no model and changes no row', async () => {
      const stored = server.put(condition('Asthma'));
      await deliver(stored);
      const before = await database.rows();
      expect(await deliver(stored)).toMatchObject({ embeddingsCreated: 0, chunksProcessed: 1, unchanged: true });
      expect(router.calls).toHaveLength(1);
      expect(await database.rows()).toEqual(before);
    });

    test('a new version with the same text calls no model; its rows stand for the new version and patient', async () => {
      const other = randomUUID();
      const first = server.put(condition('Asthma'));
      await deliver(first);
      const second = server.put({
        ...condition('Asthma', { id: first.id, subject: { reference: `Patient/${other}` } }),
      });
      expect(await deliver(second)).toMatchObject({ unchanged: true });
      expect(router.calls).toHaveLength(1);
      expect(await database.rows()).toMatchObject([{ version_id: second.meta.versionId, patient_id: other }]);
    });

    test('an update replaces', async () => {
      const first = server.put(condition('Asthma'));
      await deliver(first);
      await deliver(server.put(condition('Severe asthma', { id: first.id })));
      expect(await texts()).toEqual([expect.stringContaining('Severe asthma')]);
    });

    test('a version older than the stored one changes nothing', async () => {
      const id = randomUUID();
      const old = { ...condition('Old', { id }), meta: { versionId: randomUUID(), lastUpdated: '2024-01-01T00:00:00Z' } };
      await deliver(server.put(condition('New', { id })));
      server.put(old); // as a read replica that lags behind would answer
      expect(await deliver(old)).toMatchObject({ unchanged: true, embeddingsCreated: 0 });
      expect(await texts()).toEqual([expect.stringContaining('New')]);
    });

    test('a slow run of an old version does not overtake a fast one of the new', async () => {
      const first = server.put(condition('Old'));
      router.faults = [
        (response, input) =>
          void setTimeout(() => {
            response.end(JSON.stringify({ data: input.map(() => ({ embedding: new Array(768).fill(0.5) })) }));
          }, 200),
      ];
      const slow = deliver(first);
      await expect.poll(() => router.calls.length).toBe(1);
      await deliver(server.put(condition('New', { id: first.id })));
      expect(await slow).toMatchObject({ unchanged: true });
      expect(await texts()).toEqual([expect.stringContaining('New')]);
    });

    test('twenty events of one resource at once leave one set of rows', async () => {
      const stored = server.put(note('Chest pain on exertion. '.repeat(100)));
      const results = await Promise.all(Array.from({ length: 20 }, () => deliver(stored)));
      expect(results.every((result) => result.success)).toBe(true);
      const rows = await database.rows();
      expect(rows.map((row) => row.chunk_index)).toEqual(rows.map((_, index) => index));
      expect(rows.every((row) => row.chunk_count === rows.length)).toBe(true);
    });

    test('a note that shrinks leaves no stale chunk', async () => {
      const long = server.put(note('The wound is healing well. '.repeat(200)));
      await deliver(long);
      expect((await database.rows()).length).toBeGreaterThan(5);
      await deliver(server.put(note('Healed.', { id: long.id })));
      const rows = await database.rows();
      expect(rows.map((row) => row.chunk_count)).toEqual([2, 2]);
      expect(rows[1]?.content_text).toContain('Healed.');
    });

    test('an interrupted set of chunks is made whole by the next event', async () => {
      const stored = server.put(note('The wound is healing well. '.repeat(200)));
      await deliver(stored);
      const whole = (await database.rows()).length;
      await database.admin.query('DELETE FROM clinical_embeddings WHERE chunk_index = 3');
      await deliver(stored);
      expect(await database.rows()).toHaveLength(whole);
    });
  });

  describe('deletion', () => {
    const remove = async (stored: Resource) => {
      server.remove(stored);
      return handler(server.client(), subscriptionEvent({ deletedResource: stored }, values));
    };

    test('removes the rows and leaves a tombstone', async () => {
      const stored = server.put(condition('Asthma'));
      await deliver(stored);
      expect(await remove(stored)).toMatchObject({ success: true, removed: true, embeddingsCreated: 0 });
      expect(await database.rows()).toEqual([]);
      expect(await database.tombstones()).toMatchObject([
        { project_id: PROJECT, fhir_resource_type: 'Condition', fhir_resource_id: stored.id, version_id: stored.meta.versionId },
      ]);
    });

    test('is not undone by a late event', async () => {
      const stored = server.put(condition('Asthma'));
      await remove(stored);
      expect(await deliver(stored)).toMatchObject({ success: true, removed: true });
      expect(await database.rows()).toEqual([]);
      expect(router.calls).toEqual([]);
    });

    test('is not undone by a run that read the record before', async () => {
      const stored = server.put(condition('Asthma'));
      router.faults = [
        (response, input) =>
          void setTimeout(() => {
            response.end(JSON.stringify({ data: input.map(() => ({ embedding: new Array(768).fill(0.5) })) }));
          }, 200),
      ];
      const slow = deliver(stored);
      await expect.poll(() => router.calls.length).toBe(1);
      await remove(stored);
      expect(await slow).toMatchObject({ unchanged: true, embeddingsCreated: 0 });
      expect(await database.rows()).toEqual([]);
    });

    test('is over when the record comes back under its id', async () => {
      const stored = server.put(condition('Asthma'));
      await deliver(stored);
      await remove(stored);
      await new Promise((resolve) => setTimeout(resolve, 5));
      await deliver(server.put(condition('Asthma', { id: stored.id })));
      expect(await database.rows()).toHaveLength(1);
      expect(await database.tombstones()).toEqual([]);
    });

    test('that comes late, after the record came back, changes nothing', async () => {
      const stored = server.put(condition('Asthma'));
      await deliver(server.put(condition('Back again', { id: stored.id })));
      await handler(server.client(), subscriptionEvent({ deletedResource: stored }, values));
      expect(await texts()).toEqual([expect.stringContaining('Back again')]);
    });

    test('claimed by a caller while the record is there removes nothing', async () => {
      const stored = server.put(condition('Asthma'));
      await deliver(stored);
      await execute({ deletedResource: stored });
      expect(await database.rows()).toHaveLength(1);
    });
  });

  describe('what must not be found', () => {
    test('a Condition entered in error loses its rows', async () => {
      const stored = server.put(condition('Asthma'));
      await deliver(stored);
      const verificationStatus = { coding: [{ code: 'entered-in-error' }] };
      const withdrawn = server.put(condition('Asthma', { id: stored.id, verificationStatus }));
      expect(await deliver(withdrawn)).toMatchObject({
        removed: true,
        skipped: [{ reason: 'verificationStatus entered-in-error' }],
      });
      expect(await database.rows()).toEqual([]);
      expect(await deliver(withdrawn)).toMatchObject({ removed: true });
    });

    test('a note that a model wrote is found only once it is final', async () => {
      const meta = { security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'AIAST' }] };
      const draft = server.put(note('Draft.', { docStatus: 'preliminary', meta }));
      expect(await deliver(draft)).toMatchObject({ skipped: [{ reason: 'written by a model and still preliminary' }] });
      expect(await database.rows()).toEqual([]);
      await new Promise((resolve) => setTimeout(resolve, 5));
      await deliver(server.put(note('Draft.', { id: draft.id, docStatus: 'final', meta })));
      expect(await database.rows()).not.toEqual([]);
    });

    test('a PDF leaves metadata, and no byte of it as text', async () => {
      const data = Buffer.from('%PDF-1.7 secret bytes of a scan').toString('base64');
      const stored = server.put(note('', { content: [{ attachment: { contentType: 'application/pdf', data } }] }));
      expect(await deliver(stored)).toMatchObject({
        success: true,
        skipped: [{ contentType: 'application/pdf', reason: 'content of this type is not read as text' }],
      });
      expect((await texts()).join()).toContain('Attachment: application/pdf');
      expect((await texts()).join()).not.toMatch(/PDF-|secret bytes/);
    });
  });

  describe('projects', () => {
    test('never touch each other\'s rows', async () => {
      const stored = server.put(condition('Asthma'));
      await deliver(stored);
      values = { ...values, MEDBOTS_PROJECT_ID: OTHER_PROJECT, DATABASE_URL: database.url(OTHER_PROJECT) };
      await deliver(stored);
      expect((await database.rows()).map((row) => row.project_id)).toEqual([PROJECT, OTHER_PROJECT]);
      server.remove(stored);
      await handler(server.client(), subscriptionEvent({ deletedResource: stored }, values));
      expect((await database.rows()).map((row) => row.project_id)).toEqual([PROJECT]);
    });

    test('cannot write under another\'s name: the database refuses', async () => {
      values.MEDBOTS_PROJECT_ID = OTHER_PROJECT;
      await expect(deliver(server.put(condition('Asthma')))).rejects.toMatchObject({ code: 'DB_ERROR' });
      expect(await database.rows()).toEqual([]);
    });
  });

  describe('failures', () => {
    /** Old rows stay, the failure is audited without the record's words, and a subscription sees it thrown. */
    const expectUntouched = async (code: string, message: string | RegExp) => {
      const stored = server.put(condition('Asthma'));
      const faults = router.faults;
      router.faults = [];
      const good = { DATABASE_URL: database.url(), EMBEDDING_DIM: '768' };
      await handler(server.client(), subscriptionEvent(stored, { ...values, ...good }));
      const before = await database.rows();
      expect(before).toHaveLength(1);
      router.faults = faults;
      server.created.length = 0;
      const changed = server.put(condition('Confidential finding', { id: stored.id }));
      await expect(deliver(changed)).rejects.toMatchObject({ code, message: expect.stringMatching(message) as unknown });
      expect(await database.rows()).toEqual(before);
      expect(server.audits).toMatchObject([
        { outcome: '8', outcomeDesc: expect.stringMatching(new RegExp(`^${code}: `)) as unknown },
      ]);
      expect(JSON.stringify(server.audits)).not.toContain('Confidential');
    };

    test('a model of another dimension', async () => {
      router.faults = [
        (response, input) =>
          void response.end(JSON.stringify({ data: input.map(() => ({ embedding: new Array(1536).fill(0.1) })) })),
      ];
      await expectUntouched('DIMENSION_MISMATCH', /^expected 768 dimensions, got 1536$/);
    });

    test('a router that is down', async () => {
      router.faults = [hangUp, hangUp];
      await expectUntouched('LLM_ROUTER_ERROR', 'could not be reached');
      expect(router.calls).toHaveLength(3);
    });

    test('a router that answers 500 twice', async () => {
      router.faults = [status(500), status(500)];
      await expectUntouched('LLM_ROUTER_ERROR', 'answered HTTP 500');
    });

    test('a router that does not answer in time', async () => {
      router.faults = [silence];
      await expectUntouched('TIMEOUT', 'took longer than 400 ms');
      expect(router.calls).toHaveLength(2);
    });

    test.each([
      ['no JSON', '<html>502</html>', 'LLM_ROUTER_ERROR'],
      ['no embeddings', '{}', 'EMBEDDING_ERROR'],
      ['too few embeddings', '{"data": []}', 'EMBEDDING_ERROR'],
      ['a zero vector', JSON.stringify({ data: [{ embedding: new Array(768).fill(0) }] }), 'EMBEDDING_ERROR'],
    ])('a router that answers %s', async (_name, body, code) => {
      router.faults = [answer(body)];
      await expectUntouched(code, 'model router');
    });

    test('a database that is down', async () => {
      values.DATABASE_URL = 'postgresql://nobody@127.0.0.1:1/none';
      await expectUntouched('DB_ERROR', 'refuses connections');
    });

    test('a column of another dimension than the secret says', async () => {
      values.EMBEDDING_DIM = '4';
      router.dimension = 768;
      router.faults = [
        (response, input) => void response.end(JSON.stringify({ data: input.map(() => ({ embedding: [1, 2, 3, 4] })) })),
      ];
      await expectUntouched('DIMENSION_MISMATCH', /^expected 768 dimensions, got 4$/);
    });

    test('a database without the tables says what to run', async () => {
      const url = new URL(database.url());
      url.pathname = '/postgres';
      values.DATABASE_URL = url.href;
      await expectUntouched('DB_ERROR', 'medbots db init');
    });

    test('one 429 is waited for, and no failure', async () => {
      router.faults = [status(429, { 'Retry-After': '0' })];
      expect(await deliver(server.put(condition('Asthma')))).toMatchObject({ success: true, embeddingsCreated: 1 });
      expect(router.calls[0]?.headers['x-request-id']).toBe(router.calls[1]?.headers['x-request-id']);
    });

    test('patient data is not sent to a public host', async () => {
      values.LLM_ROUTER_URL = 'https://api.openai.com';
      await expect(deliver(server.put(condition('Asthma')))).rejects.toMatchObject({ code: 'PHI_ROUTE_BLOCKED' });
      expect(router.calls).toEqual([]);
    });

    test.each(['LLM_ROUTER_URL', 'DATABASE_URL', 'MEDBOTS_PROJECT_ID'])('without the secret %s', async (name) => {
      delete values[name];
      expect(await execute({ resourceType: 'Condition', id: randomUUID() })).toMatchObject({
        success: false,
        errorCode: 'NOT_CONFIGURED',
        message: expect.stringContaining(name) as unknown,
      });
    });

    test('leave no connection behind', async () => {
      router.faults = [status(400), silence, hangUp, hangUp];
      for (let run = 0; run < 3; run++) {
        await deliver(server.put(condition('Asthma'))).catch(() => undefined);
      }
      await expect.poll(() => database.connections()).toBe(0);
    });
  });

  describe('$execute', () => {
    test.each([
      ['a bare id', (id: string) => ({ resourceType: 'Condition', id })],
      ['Type/id', (id: string) => ({ resourceType: 'Condition', id: `Condition/${id}` })],
      ['wrapped in input', (id: string) => ({ input: { resourceType: 'Condition', id } })],
      [
        'Parameters',
        (id: string) => ({
          resourceType: 'Parameters',
          parameter: [
            { name: 'resourceType', valueCode: 'Condition' },
            { name: 'id', valueId: id },
          ],
        }),
      ],
    ])('takes %s', async (_name, input) => {
      const stored = server.put(condition('Asthma'));
      expect(await execute(input(stored.id))).toMatchObject({ success: true, resourceId: stored.id, embeddingsCreated: 1 });
    });

    test.each([
      ['nothing', undefined],
      ['a text', 'Condition/1'],
      ['a list', []],
      ['no id', { resourceType: 'Condition' }],
      ['an id of another type', { resourceType: 'Condition', id: `Patient/${randomUUID()}` }],
      ['an id that is no UUID', { resourceType: 'Condition', id: '1 OR 1=1' }],
      ['a type that is not embedded', { resourceType: 'Patient', id: randomUUID() }],
      ['an unknown action', { action: 'drop', resourceType: 'Condition', id: randomUUID() }],
      ['an unknown field', { resourceType: 'Condition', id: randomUUID(), force: true }],
      ['a record that does not exist', { resourceType: 'Condition', id: randomUUID() }],
      ['a backfill without a type', { action: 'backfill' }],
      ['a backfill of none', { action: 'backfill', resourceType: 'Condition', limit: 0 }],
      ['a backfill of too many', { action: 'backfill', resourceType: 'Condition', limit: 1_001 }],
      ['a backfill since no date', { action: 'backfill', resourceType: 'Condition', since: 'yesterday' }],
    ])('answers INVALID_INPUT for %s, and asks no model', async (_name, input) => {
      expect(await execute(input)).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
      expect(router.calls).toEqual([]);
      expect(server.audits).toEqual([]);
    });

    test('of a deleted record removes its rows', async () => {
      const stored = server.put(condition('Asthma'));
      await deliver(stored);
      server.remove(stored);
      expect(await execute({ resourceType: 'Condition', id: stored.id })).toMatchObject({ success: true, removed: true });
      expect(await database.rows()).toEqual([]);
    });
  });

  describe('backfill', () => {
    test('embeds what is missing, page by page, and is cheap the second time', async () => {
      const type = 'MedicationStatement';
      for (let index = 0; index < 60; index++) {
        server.put({
          resourceType: type,
          status: 'active',
          subject: { reference: `Patient/${PATIENT}` },
          medicationCodeableConcept: { text: `Drug ${index}` },
          meta: { lastUpdated: `2024-01-01T00:00:${String(index).padStart(2, '0')}.000Z` },
        });
      }
      const all = { action: 'backfill', resourceType: type, limit: 1_000 };
      expect(await execute(all)).toMatchObject({ success: true, processed: 60, embeddingsCreated: 60, complete: true, failed: [] });
      expect(await execute(all)).toMatchObject({ processed: 60, embeddingsCreated: 0, unchanged: 60 });
      expect(router.calls).toHaveLength(60);

      const first = await execute({ ...all, limit: 7, since: '2024-01-01T00:00:50Z' });
      expect(first).toMatchObject({ processed: 7, complete: false, nextSince: '2024-01-01T00:00:57.000Z' });
      expect(await execute({ ...all, since: '2024-01-01T00:00:57.000Z' })).toMatchObject({ processed: 3, complete: true });
    });

    test('stops where everything fails, and says where to go on', async () => {
      values.EMBEDDING_MODEL = 'another-model';
      router.faults = Array.from({ length: 9 }, () => status(400));
      expect(await execute({ action: 'backfill', resourceType: 'MedicationStatement' })).toMatchObject({
        success: true,
        processed: 3,
        complete: false,
        failed: [{ errorCode: 'LLM_ROUTER_ERROR' }, {}, {}],
        nextSince: '2024-01-01T00:00:03.000Z',
      });
    });
  });
});
