import { randomUUID } from 'node:crypto';
import type { Condition, Resource } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { WITHOUT_DATABASE } from '../../test/support/database.ts';
import { executeEvent, OTHER_PROJECT, PROJECT, subscriptionEvent } from '../../test/support/events.ts';
import { exampleOf, expectOutput } from '../../test/support/page.ts';
import { condition, note, PATIENT } from '../../test/support/records.ts';
import { status } from '../../test/support/router.ts';
import { useSurroundings } from '../../test/support/surroundings.ts';
import { handler } from './embedding.ts';

describe.skipIf(WITHOUT_DATABASE)('Embedding Bot (needs MEDBOTS_TEST_DATABASE_URL)', () => {
  const around = useSurroundings();
  /** Runs the bot as a subscription does. */
  const deliver = (resource: Resource) => handler(around.server.client(), subscriptionEvent(resource, around.values));
  const execute = (input: unknown) => handler(around.server.client(), executeEvent(input, around.values));
  const texts = async () => (await around.database.rows()).map((row) => row.content_text);

  test('the example of the page holds', async () => {
    const { id } = around.server.put(condition('Asthma'));
    const page = exampleOf('embedding', { CONDITION_ID: id });
    expectOutput(await execute(page.input), page.output);
  });

  describe('a new record', () => {
    test('becomes one row with everything that the table wants to know', async () => {
      const stored = around.server.put(condition('Type 2 diabetes mellitus'));
      expect(await deliver(stored)).toEqual({
        success: true,
        resourceType: 'Condition',
        resourceId: stored.id,
        embeddingsCreated: 1,
        chunksProcessed: 1,
      });
      const [row, ...others] = await around.database.rows();
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
      await deliver(around.server.put(condition('Asthma')));
      expect(around.router.calls).toHaveLength(1);
      const [call] = around.router.calls;
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
      const stored = around.server.put(condition('Asthma'));
      await deliver(stored);
      around.values.EMBEDDING_PREFIX_MODE = 'nomic';
      await deliver(stored);
      expect(around.router.calls[1]?.body.input?.[0]).toMatch(/^search_document: \[Condition/);
      expect((await around.database.rows()).map((row) => row.model_version)).toEqual(
        expect.arrayContaining(['embedding-model/768/none', 'embedding-model/768/nomic'])
      );
    });

    test('is read again: what the event says is not believed', async () => {
      const stored = around.server.put(condition('Asthma'));
      await deliver({ ...stored, code: { text: 'Forged' } } as Condition);
      expect(await texts()).toEqual([expect.stringContaining('Asthma')]);
    });

    test('without a patient has none in its row', async () => {
      await deliver(around.server.put(condition('Asthma', { subject: { reference: `Group/${randomUUID()}` } })));
      expect((await around.database.rows())[0]?.patient_id).toBeNull();
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
      const stored = around.server.put(condition('Asthma'));
      expect(await execute(input(stored.id))).toMatchObject({
        success: true,
        resourceId: stored.id,
        embeddingsCreated: 1,
      });
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
      expect(around.router.calls).toEqual([]);
      expect(around.server.audits).toEqual([]);
    });

    test.each(['Patient', 'RelatedPerson'])('refuses a backfill that a %s asks for', async (type) => {
      const asked = { action: 'backfill', resourceType: 'Condition' };
      const event = executeEvent(asked, around.values, `${type}/${randomUUID()}`);
      expect(await handler(around.server.client(), event)).toMatchObject({ success: false, errorCode: 'UNAUTHORIZED' });
      expect(around.router.calls).toEqual([]);
    });

    test('of a deleted record removes its rows', async () => {
      const stored = around.server.put(condition('Asthma'));
      await deliver(stored);
      around.server.remove(stored);
      expect(await execute({ resourceType: 'Condition', id: stored.id })).toMatchObject({
        success: true,
        removed: true,
      });
      expect(await around.database.rows()).toEqual([]);
    });
  });

  describe('backfill', () => {
    test('embeds what is missing, page by page, and is cheap the second time', async () => {
      const type = 'MedicationStatement';
      for (let index = 0; index < 60; index++) {
        around.server.put({
          resourceType: type,
          status: 'active',
          subject: { reference: `Patient/${PATIENT}` },
          medicationCodeableConcept: { text: `Drug ${index}` },
          meta: { lastUpdated: `2024-01-01T00:00:${String(index).padStart(2, '0')}.000Z` },
        });
      }
      const all = { action: 'backfill', resourceType: type, limit: 1_000 };
      expect(await execute(all)).toMatchObject({
        success: true,
        processed: 60,
        embeddingsCreated: 60,
        complete: true,
        failed: [],
      });
      expect(await execute(all)).toMatchObject({ processed: 60, embeddingsCreated: 0, unchanged: 60 });
      expect(around.router.calls).toHaveLength(60);

      const first = await execute({ ...all, limit: 7, since: '2024-01-01T00:00:50Z' });
      expect(first).toMatchObject({ processed: 7, complete: false, nextSince: '2024-01-01T00:00:57.000Z' });
      expect(await execute({ ...all, since: '2024-01-01T00:00:57.000Z' })).toMatchObject({
        processed: 3,
        complete: true,
      });
    });

    test('stops where everything fails, and says where to go on', async () => {
      around.values.EMBEDDING_MODEL = 'another-model';
      around.router.faults = Array.from({ length: 9 }, () => status(400));
      expect(await execute({ action: 'backfill', resourceType: 'MedicationStatement' })).toMatchObject({
        success: true,
        processed: 3,
        complete: false,
        failed: [{ errorCode: 'LLM_ROUTER_ERROR' }, {}, {}],
        nextSince: '2024-01-01T00:00:03.000Z',
      });
    });
  });

  describe('what must not be found', () => {
    test('a Condition entered in error loses its rows', async () => {
      const stored = around.server.put(condition('Asthma'));
      await deliver(stored);
      const verificationStatus = { coding: [{ code: 'entered-in-error' }] };
      const withdrawn = around.server.put(condition('Asthma', { id: stored.id, verificationStatus }));
      expect(await deliver(withdrawn)).toMatchObject({
        removed: true,
        skipped: [{ reason: 'verificationStatus entered-in-error' }],
      });
      expect(await around.database.rows()).toEqual([]);
      expect(await deliver(withdrawn)).toMatchObject({ removed: true });
    });

    test('a note that a model wrote is found only once it is final', async () => {
      const meta = {
        security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'AIAST' }],
      };
      const draft = around.server.put(note('Draft.', { docStatus: 'preliminary', meta }));
      expect(await deliver(draft)).toMatchObject({ skipped: [{ reason: 'written by a model and still preliminary' }] });
      expect(await around.database.rows()).toEqual([]);
      await new Promise((resolve) => setTimeout(resolve, 5));
      await deliver(around.server.put(note('Draft.', { id: draft.id, docStatus: 'final', meta })));
      expect(await around.database.rows()).not.toEqual([]);
    });

    test('a PDF leaves metadata, and no byte of it as text', async () => {
      const data = Buffer.from('%PDF-1.7 secret bytes of a scan').toString('base64');
      const stored = around.server.put(
        note('', { content: [{ attachment: { contentType: 'application/pdf', data } }] })
      );
      expect(await deliver(stored)).toMatchObject({
        success: true,
        skipped: [{ contentType: 'application/pdf', reason: 'content of this type is not read as text' }],
      });
      expect((await texts()).join()).toContain('Attachment: application/pdf');
      expect((await texts()).join()).not.toMatch(/PDF-|secret bytes/);
    });
  });

  describe('projects', () => {
    test("never touch each other's rows", async () => {
      const stored = around.server.put(condition('Asthma'));
      await deliver(stored);
      around.values = {
        ...around.values,
        MEDBOTS_PROJECT_ID: OTHER_PROJECT,
        DATABASE_URL: around.database.url(OTHER_PROJECT),
      };
      await deliver(stored);
      expect((await around.database.rows()).map((row) => row.project_id)).toEqual([PROJECT, OTHER_PROJECT]);
      around.server.remove(stored);
      await handler(around.server.client(), subscriptionEvent({ deletedResource: stored }, around.values));
      expect((await around.database.rows()).map((row) => row.project_id)).toEqual([PROJECT]);
    });

    test("cannot write under another's name: the database refuses", async () => {
      around.values.MEDBOTS_PROJECT_ID = OTHER_PROJECT;
      await expect(deliver(around.server.put(condition('Asthma')))).rejects.toMatchObject({ code: 'DB_ERROR' });
      expect(await around.database.rows()).toEqual([]);
    });
  });
});
