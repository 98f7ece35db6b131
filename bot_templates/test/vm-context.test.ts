import { randomUUID } from 'node:crypto';
import type { Patient } from '@medplum/fhirtypes';
import { beforeAll, describe, expect, test } from 'vitest';
import { WITHOUT_DATABASE } from './support/database.ts';
import { executeEvent, subscriptionEvent } from './support/events.ts';
import { readManifest } from './support/manifest.ts';
import { condition, note, PATIENT } from './support/records.ts';
import { hangUp, silence, sourceWith, status } from './support/router.ts';
import { useSurroundings } from './support/surroundings.ts';
import { bundle, RELEASES, runInServerContext } from './support/vm-context.ts';

const BOTS = Object.keys(readManifest().bots);
/** Bytes. A table of codes is data: read, and hardly compiled. */
const SIZE_LIMITS: Record<string, number> = { 'billing-code-suggester': 1_200_000 };

describe.each(BOTS)('The bundle of %s', (key) => {
  test('exports a handler and nothing else, in a context without any other global', async () => {
    const code = await bundle(key);
    const listing = `${code}const keys = Object.keys(exports); exports.handler = async () => keys;\n`;
    const exported = await runInServerContext(listing, 'later', 'http://localhost/', executeEvent({}, {}));
    expect(exported.returned).toEqual(['handler']);
  });

  test('is small, ends with a semicolon, and is the same every time', async () => {
    const code = await bundle(key);
    expect(Buffer.byteLength(code)).toBeLessThan(SIZE_LIMITS[key] ?? 400_000);
    expect(code.endsWith(';\n')).toBe(true);
    expect(await bundle(key)).toBe(code);
  });
});

describe.skipIf(WITHOUT_DATABASE).each(Object.keys(RELEASES) as (keyof typeof RELEASES)[])(
  'In the context of Medplum %s (needs MEDBOTS_TEST_DATABASE_URL)',
  (release) => {
    const around = useSurroundings();
    let embedding: string;
    let search: string;
    let rag: string;

    beforeAll(async () => {
      [embedding, search, rag] = await Promise.all([
        bundle('embedding'),
        bundle('semantic-search'),
        bundle('rag-pipeline'),
      ]);
    });

    test('a question is answered from what was embedded', async () => {
      around.server.put<Patient>({ resourceType: 'Patient', id: PATIENT });
      const stored = around.server.put(note('Numbness of both feet since March.'));
      await runInServerContext(embedding, release, around.server.url, subscriptionEvent(stored, around.values));
      around.router.chat = (call) => ({
        answerable: true,
        sentences: [{ text: 'Numbness of both feet since March.', citations: [sourceWith(call, 'Numbness')] }],
      });
      const question = { question: 'Numbness of both feet?', patientId: PATIENT };
      const run = await runInServerContext(rag, release, around.server.url, executeEvent(question, around.values));
      expect(run.returned).toMatchObject({
        success: true,
        answer: 'Numbness of both feet since March.',
        citations: [{ source: `DocumentReference/${stored.id}` }],
        warnings: [],
      });
      expect(run.log).toEqual([]);
    });

    test('a record is embedded, found again, and removed', async () => {
      around.server.put<Patient>({ resourceType: 'Patient', id: PATIENT });
      const stored = around.server.put(condition('Asthma'));
      const embedded = await runInServerContext(
        embedding,
        release,
        around.server.url,
        subscriptionEvent(stored, around.values)
      );
      expect(embedded.returned).toMatchObject({ success: true, embeddingsCreated: 1 });

      const question = { query: 'Condition: Asthma', patientId: PATIENT, minSimilarity: 0 };
      const found = await runInServerContext(search, release, around.server.url, executeEvent(question, around.values));
      expect(found.returned).toMatchObject({ success: true, results: [{ resourceId: stored.id }] });
      expect(found.returned).not.toHaveProperty('warnings');

      around.server.remove(stored);
      const event = subscriptionEvent({ deletedResource: stored }, around.values);
      expect((await runInServerContext(embedding, release, around.server.url, event)).returned).toMatchObject({
        removed: true,
      });
      expect(await around.database.rows()).toEqual([]);
    });

    test('an attachment is read from its Binary, and a too large one is not', async () => {
      const attached = [
        {
          contentType: 'text/html',
          url: `Binary/${around.server.putBinary('text/html', '<p>Heart &amp; lungs clear</p>')}`,
        },
        {
          contentType: 'text/plain',
          url: `Binary/${around.server.putBinary('text/plain', 'x'.repeat(6 * 1024 * 1024))}`,
        },
        { contentType: 'text/plain', url: 'http://169.254.169.254/latest/meta-data' },
      ];
      const stored = around.server.put(note('', { content: attached.map((attachment) => ({ attachment })) }));
      const run = await runInServerContext(
        embedding,
        release,
        around.server.url,
        subscriptionEvent(stored, around.values)
      );
      expect(run.returned).toMatchObject({
        success: true,
        skipped: [{ reason: 'it is larger than 5 MB' }, { reason: 'its URL is not on this server' }],
      });
      expect(JSON.stringify(await around.database.rows())).toContain('Heart & lungs clear');
    });

    test.each([
      ['slow', [silence], 'TIMEOUT'],
      ['down', [hangUp, hangUp], 'LLM_ROUTER_ERROR'],
      ['refusing', [status(401)], 'LLM_ROUTER_ERROR'],
    ])(
      "a router that is %s fails the run in time, and its words and the record's stay out of the log",
      async (_name, faults, code) => {
        around.router.faults = faults;
        const stored = around.server.put(condition('Confidential finding'));
        const run = await runInServerContext(
          embedding,
          release,
          around.server.url,
          subscriptionEvent(stored, around.values)
        );
        expect(run.thrown).toMatchObject({ code });
        const everything = JSON.stringify([
          run.log,
          String(run.thrown),
          (run.thrown as Error).stack,
          around.server.audits,
        ]);
        expect(everything).not.toMatch(/Confidential|cannot embed|Eleanor/);
        expect(around.server.audits).toHaveLength(1);
      }
    );

    test('a failure of $execute is returned', async () => {
      const event = executeEvent(
        { resourceType: 'Condition', id: randomUUID() },
        { ...around.values, DATABASE_URL: 'postgresql://a@127.0.0.1:1/b' }
      );
      const run = await runInServerContext(embedding, release, around.server.url, event);
      expect(run.returned).toMatchObject({ success: false, errorCode: 'DB_ERROR' });
    });

    test('a connection lost in the middle of a run is a failure, and no crash of the server', async () => {
      around.router.faults = [
        (response, texts) =>
          void around.database.admin
            .query(
              "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'medbots %' AND datname = current_database()"
            )
            .then(() =>
              response.end(JSON.stringify({ data: texts.map(() => ({ embedding: new Array(768).fill(0.1) })) }))
            ),
      ];
      const stored = around.server.put(condition('Asthma'));
      const run = await runInServerContext(
        embedding,
        release,
        around.server.url,
        subscriptionEvent(stored, around.values)
      );
      expect(run.thrown).toMatchObject({ code: 'DB_ERROR' });
    });

    test('forty runs, good and bad, leave no connection open', async () => {
      for (let run = 0; run < 10; run++) {
        const stored = around.server.put(condition(`Finding ${run}`));
        around.router.faults = run % 2 ? [status(400)] : [];
        const event = subscriptionEvent(stored, around.values);
        const question = executeEvent({ query: 'finding', patientId: PATIENT }, around.values);
        await Promise.all([
          runInServerContext(embedding, release, around.server.url, event),
          runInServerContext(embedding, release, around.server.url, event),
          runInServerContext(search, release, around.server.url, question),
          runInServerContext(search, release, around.server.url, question),
        ]);
      }
      await expect.poll(() => around.database.connections()).toBe(0);
    });
  }
);
