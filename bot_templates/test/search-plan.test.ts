import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { vectorBinary } from '../src/lib/vector-binary.ts';
import { TestDatabase, WITHOUT_DATABASE } from './support/database.ts';
import { OTHER_PROJECT, PROJECT } from './support/events.ts';
import { embed } from './support/router.ts';

const ROWS = 4_000;
const MODEL = 'embedding-model/768/none';
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
    MODEL,
    null,
    null,
    null,
    null,
    2,
    30,
  ];

  const ofType = (type: string): unknown[] => [...values.slice(0, 3), [type], ...values.slice(4), 120];

  beforeAll(async () => {
    database = await TestDatabase.create();
    // Built afterwards, as an index is ten times as fast.
    await database.admin.query('DROP INDEX clinical_embeddings_embedding_idx');
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
    await database.admin.query(
      `CREATE INDEX clinical_embeddings_embedding_idx ON clinical_embeddings
       USING hnsw (embedding halfvec_cosine_ops) WHERE model_version = '${MODEL}'`
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
      await settings(parameters[3], parameters[9] === PATIENT);
      return (await bot.query(statement, parameters)).rows as Record<string, unknown>[];
    } finally {
      await bot.query('COMMIT');
    }
  }
  const settings = async (types: unknown, ofPatient = false) =>
    (await bot.query(query('search_settings'), ['5000', PROJECT, MODEL, types, 768, ofPatient, 120])).rows[0] as {
      way: string;
      generation: string;
    };
  /** How a search is to go. */
  const way = async (types: unknown, ofPatient = false) => {
    await bot.query('BEGIN');
    try {
      return (await settings(types, ofPatient)).way;
    } finally {
      await bot.query('ROLLBACK');
    }
  };
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

  test('what a search sets ends with it', async () => {
    const shown = async () =>
      (
        await bot.query(
          `SELECT current_setting('jit') AS jit, current_setting('enable_sort') AS sort,
             current_setting('hnsw.ef_search') AS list, current_setting('plan_cache_mode') AS plans`
        )
      ).rows[0] as Record<string, string>;
    const before = await shown();
    await bot.query('BEGIN');
    await settings(null);
    expect(await shown()).toEqual({ jit: 'off', sort: 'off', list: '120', plans: 'force_custom_plan' });
    await bot.query('COMMIT');
    expect(before).not.toMatchObject({ sort: 'off' });
    expect(await shown()).toEqual(before);
  });

  test('so it is with a common type', async () => {
    expect(await way(['Observation'])).toBe('index');
    expect(await plan('search_project', ofType('Observation'))).toContain(
      'Index Scan using clinical_embeddings_embedding_idx'
    );
  });

  test('a rare type is searched through its own index, where it has one that is valid', async () => {
    const name = 'clinical_embeddings_embedding_medicationstatement_idx';
    expect(await way(['MedicationStatement'])).toBe('exact');
    await database.admin.query(
      `CREATE INDEX ${name} ON clinical_embeddings USING hnsw (embedding halfvec_cosine_ops)
       WHERE model_version = '${MODEL}' AND fhir_resource_type = 'MedicationStatement'`
    );
    /** Lets the other project's policy count for nothing, or again. */
    const share = (command: string) =>
      database.admin.query("UPDATE pg_policy SET polcmd = $1 WHERE polname LIKE '%' || left($2, 8) || '%'", [
        command,
        OTHER_PROJECT,
      ]);
    try {
      // Where another project may have most of the index's rows, this one's few are scanned.
      expect(await way(['MedicationStatement'])).toBe('exact');
      await share('r');
      expect(await way(['MedicationStatement'])).toBe('type');
      expect(await way(['MedicationStatement'], true)).toBe('patient');
      expect(await way(['MedicationStatement', 'Condition'])).toBe('exact');
      expect(await way(['Observation'])).toBe('index');
      expect(await plan('search_project', ofType('MedicationStatement'))).toContain(`Index Scan using ${name}`);
      await database.admin.query(`UPDATE pg_index SET indisvalid = false WHERE indexrelid = '${name}'::regclass`);
      expect(await way(['MedicationStatement'])).toBe('exact');
    } finally {
      await share('*');
      await database.admin.query(`DROP INDEX ${name}`);
    }
  });

  test('without an index of its own a rare type is scanned, through the key', async () => {
    const found = await plan('search_exact', ofType('MedicationStatement'));
    expect(found).toContain('clinical_embeddings_chunk_key');
    expect(found).not.toContain('clinical_embeddings_embedding_idx');
    const many = ofType('MedicationStatement');
    [many[8], many[9]] = [1_000, 4_000];
    expect(await inSearch(query('search_exact'), many)).toHaveLength(ROWS / 20);
  });

  test('what is small beside others is read exactly: a type, or a project', async () => {
    expect(await way(['Condition'])).toBe('exact');
    expect(await way(null)).toBe('index');
    const other = new Client({ connectionString: database.url(OTHER_PROJECT) });
    await other.connect();
    const given = ['5000', OTHER_PROJECT, MODEL, null, 768, false, 120];
    expect((await other.query(query('search_settings'), given)).rows).toMatchObject([{ way: 'exact' }]);
    await other.end();
  });

  test('the rows of another table are counted in the one in use, which has the same records', async () => {
    await database.makeGeneration('clinical_embeddings_previous', 4);
    await database.admin.query(
      `INSERT INTO clinical_embeddings_previous (project_id, fhir_resource_type, fhir_resource_id, version_id,
         content_type, chunk_index, chunk_count, content_text, content_hash, embedding, model_version,
         resource_updated_at)
       VALUES ($1, 'Observation', gen_random_uuid(), 'v', 'structured', 0, 1, '', 'h', '[1,2,3,4]', 'm/4/none', now())`,
      [PROJECT]
    );
    await database.admin.query(
      `CREATE INDEX ON clinical_embeddings_previous USING hnsw (embedding halfvec_cosine_ops)
       WHERE model_version = 'm/4/none'`
    );
    try {
      for (const [type, expected] of [
        ['Observation', 'index'],
        ['MedicationStatement', 'exact'],
      ]) {
        const given = ['5000', PROJECT, 'm/4/none', [type], 4, false, 120];
        expect((await bot.query(query('search_settings'), given)).rows).toMatchObject([
          { generation: 'public.clinical_embeddings_previous', dimensions: [768, 4], way: expected },
        ]);
      }
    } finally {
      await database.admin.query('DROP TABLE clinical_embeddings_previous');
    }
  });

  test('where no table has vectors of the length, it says which there are', async () => {
    const { rows } = await bot.query(query('search_settings'), ['5000', PROJECT, MODEL, null, 4, false, 120]);
    expect(rows).toMatchObject([{ generation: null, dimensions: [768] }]);
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

  test.each([
    ['2024-03-01', null, ['2024', '2024-03', '2024-03-01']],
    [null, '2024-02-28', ['2023-12', '2024']],
    ['2024-03-01', '2024-03-31', ['2024', '2024-03', '2024-03-01']],
    ['2024-03-02', '2024-03-31', ['2024', '2024-03']],
    [null, null, ['2023-12', '2024', '2024-03', '2024-03-01', '2024-3-1', '12 mg', 'undated']],
  ])('from %s to %s only dates of that time are found, whichever way', async (start, end, expected) => {
    const patient = '00000000-0000-4000-8000-00000000aaaa';
    const days = ['2023-12', '2024', '2024-03', '2024-03-01', '2024-3-1', '12 mg', 'undated'];
    await database.admin.query(
      `INSERT INTO clinical_embeddings (project_id, fhir_resource_type, fhir_resource_id, version_id, patient_id,
         content_type, chunk_index, chunk_count, content_text, content_hash, embedding, model_version,
         resource_updated_at)
       SELECT $1, 'Dated', gen_random_uuid(), 'v', $2, 'dated', 0, 1, '[Dated | ' || day || ' | Result] 2024 | 2024-03-01 |',
         'h', $3::vector::halfvec, $4, now()
       FROM unnest($5::text[]) AS day`,
      [PROJECT, patient, values[0], MODEL, days]
    );
    const given = [...values.slice(0, 3), ['Dated'], 'dated', start, end, 2, 30];
    const found = async (name: string, last: unknown) =>
      (await inSearch(query(name), [...given, last])).map((row) => /\| (.*?) \|/.exec(String(row.content_text))?.[1]);
    try {
      for (const [name, last] of [
        ['search_patient', patient],
        ['search_exact', 120],
        ['search_project', 120],
      ] as const) {
        expect(new Set(await found(name, last))).toEqual(new Set(expected));
      }
    } finally {
      await database.admin.query("DELETE FROM clinical_embeddings WHERE fhir_resource_type = 'Dated'");
    }
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
