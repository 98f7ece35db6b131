import { randomUUID } from 'node:crypto';
import type { Resource } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { WITHOUT_DATABASE } from '../../test/support/database.ts';
import { executeEvent, PROJECT, subscriptionEvent } from '../../test/support/events.ts';
import { condition, note } from '../../test/support/records.ts';
import { slowly } from '../../test/support/router.ts';
import { useSurroundings } from '../../test/support/surroundings.ts';
import { handler } from './embedding.ts';

describe.skipIf(WITHOUT_DATABASE)('Embedding Bot: the order of events (needs MEDBOTS_TEST_DATABASE_URL)', () => {
  const around = useSurroundings();
  /** Runs the bot as a subscription does. */
  const deliver = (resource: Resource) => handler(around.server.client(), subscriptionEvent(resource, around.values));
  const execute = (input: unknown) => handler(around.server.client(), executeEvent(input, around.values));
  const texts = async () => (await around.database.rows()).map((row) => row.content_text);

  describe('events again, out of order and at once', () => {
    test('a replay calls no model and changes no row', async () => {
      const stored = around.server.put(condition('Asthma'));
      await deliver(stored);
      const before = await around.database.rows();
      expect(await deliver(stored)).toMatchObject({ embeddingsCreated: 0, chunksProcessed: 1, unchanged: true });
      expect(around.router.calls).toHaveLength(1);
      expect(await around.database.rows()).toEqual(before);
    });

    test('a new version with the same text calls no model; its rows stand for the new version and patient', async () => {
      const other = randomUUID();
      const first = around.server.put(condition('Asthma'));
      await deliver(first);
      const second = around.server.put({
        ...condition('Asthma', { id: first.id, subject: { reference: `Patient/${other}` } }),
      });
      expect(await deliver(second)).toMatchObject({ unchanged: true });
      expect(around.router.calls).toHaveLength(1);
      expect(await around.database.rows()).toMatchObject([{ version_id: second.meta.versionId, patient_id: other }]);
    });

    test('an update replaces', async () => {
      const first = around.server.put(condition('Asthma'));
      await deliver(first);
      await deliver(around.server.put(condition('Severe asthma', { id: first.id })));
      expect(await texts()).toEqual([expect.stringContaining('Severe asthma')]);
    });

    test('a version older than the stored one changes nothing', async () => {
      const id = randomUUID();
      const old = {
        ...condition('Old', { id }),
        meta: { versionId: randomUUID(), lastUpdated: '2024-01-01T00:00:00Z' },
      };
      await deliver(around.server.put(condition('New', { id })));
      around.server.put(old); // as a read replica that lags behind would answer
      expect(await deliver(old)).toMatchObject({ unchanged: true, embeddingsCreated: 0 });
      expect(await texts()).toEqual([expect.stringContaining('New')]);
    });

    test('a slow run of an old version does not overtake a fast one of the new', async () => {
      const first = around.server.put(condition('Old'));
      around.router.faults = [slowly(200)];
      const slow = deliver(first);
      await expect.poll(() => around.router.calls.length).toBe(1);
      await deliver(around.server.put(condition('New', { id: first.id })));
      expect(await slow).toMatchObject({ unchanged: true });
      expect(await texts()).toEqual([expect.stringContaining('New')]);
    });

    test('twenty events of one resource at once leave one set of rows', async () => {
      const stored = around.server.put(note('Chest pain on exertion. '.repeat(100)));
      const results = await Promise.all(Array.from({ length: 20 }, () => deliver(stored)));
      expect(results.every((result) => result.success)).toBe(true);
      const rows = await around.database.rows();
      expect(rows.map((row) => row.chunk_index)).toEqual(rows.map((_, index) => index));
      expect(rows.every((row) => row.chunk_count === rows.length)).toBe(true);
    });

    test('a note that shrinks leaves no stale chunk', async () => {
      const long = around.server.put(note('The wound is healing well. '.repeat(200)));
      await deliver(long);
      expect((await around.database.rows()).length).toBeGreaterThan(5);
      await deliver(around.server.put(note('Healed.', { id: long.id })));
      const rows = await around.database.rows();
      expect(rows.map((row) => row.chunk_count)).toEqual([2, 2]);
      expect(rows[1]?.content_text).toContain('Healed.');
    });

    test('an interrupted set of chunks is made whole by the next event', async () => {
      const stored = around.server.put(note('The wound is healing well. '.repeat(200)));
      await deliver(stored);
      const whole = (await around.database.rows()).length;
      await around.database.admin.query('DELETE FROM clinical_embeddings WHERE chunk_index = 3');
      await deliver(stored);
      expect(await around.database.rows()).toHaveLength(whole);
    });
  });

  describe('deletion', () => {
    const remove = async (stored: Resource) => {
      around.server.remove(stored);
      return handler(around.server.client(), subscriptionEvent({ deletedResource: stored }, around.values));
    };

    test('removes the rows and leaves a tombstone', async () => {
      const stored = around.server.put(condition('Asthma'));
      await deliver(stored);
      expect(await remove(stored)).toMatchObject({ success: true, removed: true, embeddingsCreated: 0 });
      expect(await around.database.rows()).toEqual([]);
      expect(await around.database.tombstones()).toMatchObject([
        {
          project_id: PROJECT,
          fhir_resource_type: 'Condition',
          fhir_resource_id: stored.id,
          version_id: stored.meta.versionId,
        },
      ]);
    });

    test('is not undone by a late event', async () => {
      const stored = around.server.put(condition('Asthma'));
      await remove(stored);
      expect(await deliver(stored)).toMatchObject({ success: true, removed: true });
      expect(await around.database.rows()).toEqual([]);
      expect(around.router.calls).toEqual([]);
    });

    test('is not undone by a run that read the record before', async () => {
      const stored = around.server.put(condition('Asthma'));
      around.router.faults = [slowly(200)];
      const slow = deliver(stored);
      await expect.poll(() => around.router.calls.length).toBe(1);
      await remove(stored);
      expect(await slow).toMatchObject({ unchanged: true, embeddingsCreated: 0 });
      expect(await around.database.rows()).toEqual([]);
    });

    test('is over when the record comes back under its id', async () => {
      const stored = around.server.put(condition('Asthma'));
      await deliver(stored);
      await remove(stored);
      await new Promise((resolve) => setTimeout(resolve, 5));
      await deliver(around.server.put(condition('Asthma', { id: stored.id })));
      expect(await around.database.rows()).toHaveLength(1);
      expect(await around.database.tombstones()).toEqual([]);
    });

    test('that comes late, after the record came back, changes nothing', async () => {
      const stored = around.server.put(condition('Asthma'));
      await deliver(around.server.put(condition('Back again', { id: stored.id })));
      await handler(around.server.client(), subscriptionEvent({ deletedResource: stored }, around.values));
      expect(await texts()).toEqual([expect.stringContaining('Back again')]);
    });

    test('claimed by a caller while the record is there removes nothing', async () => {
      const stored = around.server.put(condition('Asthma'));
      await deliver(stored);
      await execute({ deletedResource: stored });
      expect(await around.database.rows()).toHaveLength(1);
    });
  });
});
