import { randomUUID } from 'node:crypto';
import type { Resource } from '@medplum/fhirtypes';
import { describe, expect, test } from 'vitest';
import { WITHOUT_DATABASE } from '../../test/support/database.ts';
import { executeEvent, subscriptionEvent } from '../../test/support/events.ts';
import { condition } from '../../test/support/records.ts';
import { answer, hangUp, ofDimension, silence, status } from '../../test/support/router.ts';
import { useSurroundings } from '../../test/support/surroundings.ts';
import { handler } from './embedding.ts';

describe.skipIf(WITHOUT_DATABASE)('Embedding Bot: failures (needs MEDBOTS_TEST_DATABASE_URL)', () => {
  const around = useSurroundings();
  /** Runs the bot as a subscription does. */
  const deliver = (resource: Resource) => handler(around.server.client(), subscriptionEvent(resource, around.values));
  const execute = (input: unknown) => handler(around.server.client(), executeEvent(input, around.values));

  describe('failures', () => {
    /** Old rows stay, the failure is audited without the record's words, and a subscription sees it thrown. */
    const expectUntouched = async (code: string, message: string | RegExp) => {
      const stored = around.server.put(condition('Asthma'));
      const faults = around.router.faults;
      around.router.faults = [];
      const good = { DATABASE_URL: around.database.url(), EMBEDDING_DIM: '768' };
      await handler(around.server.client(), subscriptionEvent(stored, { ...around.values, ...good }));
      const before = await around.database.rows();
      expect(before).toHaveLength(1);
      around.router.faults = faults;
      around.server.created.length = 0;
      const changed = around.server.put(condition('Confidential finding', { id: stored.id }));
      await expect(deliver(changed)).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message) as unknown,
      });
      expect(await around.database.rows()).toEqual(before);
      expect(around.server.audits).toMatchObject([
        { outcome: '8', outcomeDesc: expect.stringMatching(new RegExp(`^${code}: `)) as unknown },
      ]);
      expect(JSON.stringify(around.server.audits)).not.toContain('Confidential');
    };

    test('a model of another dimension', async () => {
      around.router.faults = [ofDimension(1536)];
      await expectUntouched('DIMENSION_MISMATCH', /^expected 768 dimensions, got 1536$/);
    });

    test('a router that is down', async () => {
      around.router.faults = [hangUp, hangUp];
      await expectUntouched('LLM_ROUTER_ERROR', 'could not be reached');
      expect(around.router.calls).toHaveLength(3);
    });

    test('a router that answers 500 twice', async () => {
      around.router.faults = [status(500), status(500)];
      await expectUntouched('LLM_ROUTER_ERROR', 'answered HTTP 500');
    });

    test('a router that does not answer in time', async () => {
      around.router.faults = [silence];
      await expectUntouched('TIMEOUT', 'took longer than 400 ms');
      expect(around.router.calls).toHaveLength(2);
    });

    test.each([
      ['no JSON', '<html>502</html>', 'LLM_ROUTER_ERROR'],
      ['no embeddings', '{}', 'EMBEDDING_ERROR'],
      ['too few embeddings', '{"data": []}', 'EMBEDDING_ERROR'],
      ['a zero vector', JSON.stringify({ data: [{ embedding: new Array(768).fill(0) }] }), 'EMBEDDING_ERROR'],
    ])('a router that answers %s', async (_name, body, code) => {
      around.router.faults = [answer(body)];
      await expectUntouched(code, 'model router');
    });

    test('a database that is down', async () => {
      around.values.DATABASE_URL = 'postgresql://nobody@127.0.0.1:1/none';
      await expectUntouched('DB_ERROR', 'refuses connections');
    });

    test('a column of another dimension than the secret says', async () => {
      around.values.EMBEDDING_DIM = '4';
      around.router.faults = [ofDimension(4)];
      await expectUntouched('DIMENSION_MISMATCH', /^expected 768 dimensions, got 4 \(EMBEDDING_DIM\): run `medbots db migrate --reembed`$/);
    });

    test('a database without the tables says what to run', async () => {
      const url = new URL(around.database.url());
      url.pathname = '/postgres';
      around.values.DATABASE_URL = url.href;
      await expectUntouched('DB_ERROR', 'medbots db init');
    });

    test('one 429 is waited for, and no failure', async () => {
      around.router.faults = [status(429, { 'Retry-After': '0' })];
      expect(await deliver(around.server.put(condition('Asthma')))).toMatchObject({
        success: true,
        embeddingsCreated: 1,
      });
      expect(around.router.calls[0]?.headers['x-request-id']).toBe(around.router.calls[1]?.headers['x-request-id']);
    });

    test('patient data is not sent to a public host', async () => {
      around.values.LLM_ROUTER_URL = 'https://api.openai.com';
      await expect(deliver(around.server.put(condition('Asthma')))).rejects.toMatchObject({
        code: 'PHI_ROUTE_BLOCKED',
      });
      expect(around.router.calls).toEqual([]);
    });

    test.each(['LLM_ROUTER_URL', 'DATABASE_URL', 'MEDBOTS_PROJECT_ID'])('without the secret %s', async (name) => {
      delete around.values[name];
      expect(await execute({ resourceType: 'Condition', id: randomUUID() })).toMatchObject({
        success: false,
        errorCode: 'NOT_CONFIGURED',
        message: expect.stringContaining(name) as unknown,
      });
    });

    test('leave no connection behind', async () => {
      around.router.faults = [status(400), silence, hangUp, hangUp];
      for (let run = 0; run < 3; run++) {
        await deliver(around.server.put(condition('Asthma'))).catch(() => undefined);
      }
      await expect.poll(() => around.database.connections()).toBe(0);
    });
  });
});
