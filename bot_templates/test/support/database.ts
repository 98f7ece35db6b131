import { readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';

/** Superuser URL of an empty throw-away database; `make test` sets it. */
export const SUPERUSER_URL = process.env.MEDBOTS_TEST_DATABASE_URL ?? '';

/** Said where tests are skipped. */
export const WITHOUT_DATABASE = SUPERUSER_URL === '';

/** A database of its own for one test file. */
export class TestDatabase {
  readonly url: string;
  readonly admin: Client;
  readonly #name: string;

  private constructor(name: string, url: string) {
    this.#name = name;
    this.url = url;
    this.admin = new Client({ connectionString: url });
  }

  static async create(): Promise<TestDatabase> {
    const name = `bots_${randomUUID().replaceAll('-', '')}`;
    await withClient(SUPERUSER_URL, (client) => client.query(`CREATE DATABASE ${name}`));
    const url = new URL(SUPERUSER_URL);
    url.pathname = `/${name}`;
    const database = new TestDatabase(name, url.href);
    await database.admin.connect();
    await database.admin.query(schema());
    return database;
  }

  async drop(): Promise<void> {
    await this.admin.end();
    await withClient(SUPERUSER_URL, (client) => client.query(`DROP DATABASE ${this.#name} WITH (FORCE)`));
  }

  async clear(): Promise<void> {
    await this.admin.query('TRUNCATE clinical_embeddings, clinical_embedding_tombstones');
  }

  async rows(): Promise<Record<string, unknown>[]> {
    const found = await this.admin.query(
      `SELECT *, embedding::text AS vector FROM clinical_embeddings
       ORDER BY project_id, fhir_resource_type, fhir_resource_id, chunk_index`
    );
    return found.rows as Record<string, unknown>[];
  }

  async tombstones(): Promise<Record<string, unknown>[]> {
    return (await this.admin.query('SELECT * FROM clinical_embedding_tombstones')).rows as Record<string, unknown>[];
  }

  /** Connections of the bots that are open now. */
  async connections(): Promise<number> {
    const found = await this.admin.query(
      `SELECT count(*)::int AS count FROM pg_stat_activity
       WHERE datname = current_database() AND application_name LIKE 'medbots %'`
    );
    return (found.rows[0] as { count: number }).count;
  }
}

async function withClient(url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

function schema(): string {
  return readFileSync(fileURLToPath(new URL('schema.sql', import.meta.url)), 'utf8');
}
