import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { vectorBinary } from '../src/lib/search-store.ts';
import { TestDatabase, WITHOUT_DATABASE } from './support/database.ts';
import { PROJECT } from './support/events.ts';
import { embed } from './support/router.ts';

const ROWS = 4_000;
const PATIENT = '00000000-0000-4000-8000-000000000001';

/** A named query as the bots send it. */
const query = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../sql/queries/${name}.sql`, import.meta.url)), 'utf8');

describe.skipIf(WITHOUT_DATABASE)('The search queries (needs MEDBOTS_TEST_DATABASE_URL)', () => {
  let database: TestDatabase;
  let bot: Client;
  const values = [
    vectorBinary(embed('asthma wheeze', 768)),
    PROJECT,
    'embedding-model/768/none',
    null,
    null,
    null,
    null,
    2,
    30,
  ];

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.admin.query(
      `INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id, version_id, patient_id,
         content_type, content_section, chunk_index, chunk_count, content_text, content_hash, embedding,
         model_version, resource_updated_at)
       SELECT $1, CASE WHEN n % 20 = 0 THEN 'MedicationStatement' ELSE 'Observation' END, gen_random_uuid(), 'v',
         ('00000000-0000-4000-8000-' || lpad((n % 40)::text, 12, '0'))::uuid, 'structured', 'Result', 0, 1,
         '[Observation | 2024-01-0' || (n % 9 + 1) || ' | Result]', 'h',
         (SELECT array_agg(sin(n * 7 + i) + random()) FROM generate_series(1, 768) i)::vector::halfvec,
         'embedding-model/768/none', now()
       FROM generate_series(1, $2) n`,
      [PROJECT, ROWS]
    );
    await database.admin.query('ANALYZE clinical_embeddings');
    bot = new Client({ connectionString: database.url() });
    await bot.connect();
  }, 120_000);
  afterAll(async () => {
    await bot.end();
    await database.drop();
  });

  /** Runs a query in the settings of a search, as the bots' own role. */
  async function inSearch(statement: string, parameters: unknown[]): Promise<Record<string, unknown>[]> {
    await bot.query('BEGIN ISOLATION LEVEL READ COMMITTED');
    try {
      await bot.query(query('search_settings'), ['5000']);
      return (await bot.query(statement, parameters)).rows as Record<string, unknown>[];
    } finally {
      await bot.query('COMMIT');
    }
  }
  const plan = async (name: string, parameters: unknown[]) =>
    (await inSearch(`EXPLAIN (ANALYZE) ${query(name)}`, parameters)).map((row) => row['QUERY PLAN']).join('\n');

  test('a project is searched through the partial HNSW index, its predicate proven from the parameter', async () => {
    expect(await plan('search_project', [...values, 120])).toMatch(
      /Index Scan using clinical_embeddings_embedding_idx[^]*Order By: \(embedding <=> /
    );
  });

  test('so it is where the server prefers generic plans, which cannot prove the predicate', async () => {
    const scans = async () => {
      await bot.query('SELECT pg_stat_force_next_flush()');
      const found = await database.admin.query(
        "SELECT idx_scan::int AS scans FROM pg_stat_user_indexes WHERE indexrelname = 'clinical_embeddings_embedding_idx'"
      );
      return (found.rows[0] as { scans: number }).scans;
    };
    await bot.query("SET plan_cache_mode = 'force_generic_plan'");
    const before = await scans();
    await inSearch(query('search_project'), [...values, 120]);
    await bot.query('RESET plan_cache_mode');
    // EXPLAIN makes a custom plan of its own: only a real search shows which plan it had.
    await expect.poll(scans).toBe(before + 1);
  });

  test('so it is with a common type', async () => {
    const filtered: unknown[] = [...values, 120];
    filtered[3] = ['Observation'];
    expect(await plan('search_project', filtered)).toContain('Index Scan using clinical_embeddings_embedding_idx');
  });

  test('a patient is searched through the btree, never through the vector index', async () => {
    const found = await plan('search_patient', [...values, PATIENT]);
    expect(found).toContain('clinical_embeddings_patient_idx');
    expect(found).not.toContain('clinical_embeddings_embedding_idx');
  });

  test('a patient search loses no row', async () => {
    const many = [...values];
    many[8] = 1_000;
    expect(await inSearch(query('search_patient'), [...many, PATIENT])).toHaveLength(ROWS / 40);
  });

  test('a project search finds what an exact one finds', async () => {
    const exact = await database.admin.query(
      `SELECT fhir_resource_id FROM clinical_embeddings ORDER BY (embedding <=> $1::vector::halfvec) + 0 LIMIT 10`,
      [values[0]]
    );
    const nearest = new Set(
      (await inSearch(query('search_project'), [...values, 120])).map((row) => row.fhir_resource_id)
    );
    const found = exact.rows.filter((row: { fhir_resource_id: string }) => nearest.has(row.fhir_resource_id));
    expect(found.length).toBeGreaterThanOrEqual(9);
  });
});
