import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestDatabase, WITHOUT_DATABASE } from '../../test/support/database.ts';
import { PROJECT, secrets } from '../../test/support/events.ts';
import { embed } from '../../test/support/router.ts';
import { withDatabase } from './database.ts';
import { nearest, type Search } from './search-store.ts';
import { Secrets } from './secrets.ts';

const MODEL = 'embedding-model/768/none';
const ROWS = 1_500;
const NOTES = 12;
const QUERY = embed('asthma wheeze', 768);

describe.skipIf(WITHOUT_DATABASE)('a search by the index under a filter (needs MEDBOTS_TEST_DATABASE_URL)', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await TestDatabase.create();
    const { admin } = database;
    await admin.query('DROP INDEX clinical_embeddings_embedding_idx');
    await admin.query(
      `INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id, version_id, content_type,
         chunk_index, chunk_count, content_text, content_hash, embedding, model_version, resource_updated_at)
       SELECT $1, 'Observation', gen_random_uuid(), 'v', CASE WHEN few THEN 'note' ELSE 'structured' END, 0, 1,
         CASE WHEN few THEN '[Observation | 2024-06-30 | Note]' ELSE '[Observation | 2024-01-01 | Result]' END, 'h',
         (SELECT array_agg(sin(n * 7 + i) + random()) FROM generate_series(1, 768) i)::vector::halfvec, $2, now()
       FROM generate_series(1, $3::int) n CROSS JOIN LATERAL (SELECT n % $4::int = 3 AS few) AS kind`,
      [PROJECT, MODEL, ROWS, ROWS / NOTES]
    );
    // As far from the query as can be: the index stops before it comes there.
    await admin.query(
      `INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id, version_id, content_type,
         chunk_index, chunk_count, content_text, content_hash, embedding, model_version, resource_updated_at)
       VALUES ($1, 'Observation', gen_random_uuid(), 'v', 'structured', 0, 1, '[Observation | 2023-05-05 | Far]', 'h',
         $2::vector::halfvec, $3, now())`,
      [PROJECT, JSON.stringify(QUERY.map((value, n) => (n % 2 ? -value : 0))), MODEL]
    );
    await admin.query(
      `CREATE INDEX clinical_embeddings_embedding_idx ON clinical_embeddings
       USING hnsw (embedding halfvec_cosine_ops) WHERE model_version = '${MODEL}'`
    );
    await admin.query('ANALYZE clinical_embeddings');
    // As in a table of many times as many rows: the index stops looking before it has seen them all.
    await admin.query(
      `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET hnsw.max_scan_tuples = 150', current_database()); END $$`
    );
  }, 120_000);
  afterAll(() => database.drop());

  const search = (wanted: Partial<Search>) =>
    withDatabase(new Secrets(secrets({ DATABASE_URL: database.url() })), 'medbots test', (connection) =>
      nearest(connection, {
        projectId: PROJECT,
        patientId: undefined,
        modelVersion: MODEL,
        vector: QUERY,
        resourceTypes: undefined,
        contentType: undefined,
        dates: { start: undefined, end: undefined },
        minSimilarity: -1,
        limit: 30,
        ...wanted,
      })
    );

  test.each<[string, Partial<Search>]>([
    ['of a day', { dates: { start: '2024-06-30', end: '2024-06-30' } }],
    ['since a month', { dates: { start: '2024-06', end: undefined } }],
    ['of a content type', { contentType: 'note' }],
    ['of a type and a content type', { resourceTypes: ['Observation'], contentType: 'note' }],
  ])('finds all of few rows %s', async (_, wanted) => {
    const found = await search(wanted);
    expect(found).toHaveLength(NOTES);
    expect(new Set(found.map((hit) => hit.text))).toEqual(new Set(['[Observation | 2024-06-30 | Note]']));
    expect(found.map((hit) => hit.similarity)).toEqual(found.map((hit) => hit.similarity).sort((a, b) => b - a));
  });

  test('finds the one row of a day that the index does not reach', async () => {
    const found = await search({ dates: { start: '2023-05-05', end: '2023-05-05' } });
    expect(found.map((hit) => hit.text)).toEqual(['[Observation | 2023-05-05 | Far]']);
  });

  test('finds as many as are asked for of many rows', async () => {
    expect(await search({})).toHaveLength(30);
    expect(await search({ contentType: 'structured' })).toHaveLength(30);
  });

  test('finds nothing where nothing is similar enough', async () => {
    expect(await search({ minSimilarity: 0.999 })).toEqual([]);
    expect(await search({ minSimilarity: 0.999, contentType: 'note' })).toEqual([]);
  });
});
