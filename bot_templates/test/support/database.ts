import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { OTHER_PROJECT, PROJECT } from './events.ts';

/** Superuser URL of an empty throw-away database; `make test` sets it. */
const SUPERUSER_URL = process.env.MEDBOTS_TEST_DATABASE_URL ?? '';

/** Why tests are skipped. */
export const WITHOUT_DATABASE = SUPERUSER_URL === '';

const MIGRATIONS = fileURLToPath(new URL('../../../sql/migrations/', import.meta.url));
const TABLES = ['clinical_embeddings', 'clinical_embedding_tombstones'];
const PASSWORD = 'only-for-tests';

/** A database of its own for one test file, with the real schema and a role for each project. */
export class TestDatabase {
  readonly admin: Client;
  readonly #name: string;

  private constructor(name: string) {
    this.#name = name;
    this.admin = new Client({ connectionString: this.#urlOf(new URL(SUPERUSER_URL).username) });
  }

  static async create(): Promise<TestDatabase> {
    const name = `bots_${randomUUID().replaceAll('-', '')}`;
    await withClient(SUPERUSER_URL, (client) => client.query(`CREATE DATABASE ${name}`));
    const database = new TestDatabase(name);
    await database.admin.connect();
    await database.#migrate();
    for (const project of [PROJECT, OTHER_PROJECT]) {
      await database.#createRole(project);
    }
    return database;
  }

  /** What a project's bots are given. */
  url(project: string = PROJECT): string {
    return this.#urlOf(this.#role(project), PASSWORD);
  }

  async drop(): Promise<void> {
    await this.admin.end();
    await withClient(SUPERUSER_URL, async (client) => {
      await client.query(`DROP DATABASE ${this.#name} WITH (FORCE)`);
      await client.query(`DROP ROLE ${this.#role(PROJECT)}, ${this.#role(OTHER_PROJECT)}`);
    });
  }

  async clear(): Promise<void> {
    await this.admin.query(`TRUNCATE ${TABLES.join()}`);
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

  /** Makes one more table of embeddings, of another dimension, with the roles' rights and policies. */
  async makeGeneration(name: string, dimension: number): Promise<void> {
    await this.admin.query(
      `CREATE TABLE ${name} (LIKE clinical_embeddings INCLUDING ALL);
       ALTER TABLE ${name} ALTER COLUMN embedding TYPE halfvec(${dimension});
       ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY`
    );
    for (const project of [PROJECT, OTHER_PROJECT]) {
      await this.#allow(project, name);
    }
  }

  /** Connections of the bots that are open now. */
  async connections(): Promise<number> {
    const found = await this.admin.query(
      `SELECT count(*)::int AS count FROM pg_stat_activity
       WHERE datname = current_database() AND application_name LIKE 'medbots %'`
    );
    return (found.rows[0] as { count: number }).count;
  }

  async #migrate(): Promise<void> {
    const settings = {
      'medbots.dimension': '768',
      'medbots.project_id': PROJECT,
      'medbots.model_version': 'embedding-model/768/none',
      'medbots.model_alias': '',
    };
    for (const [name, value] of Object.entries(settings)) {
      await this.admin.query('SELECT set_config($1, $2, false)', [name, value]);
    }
    await this.admin.query('CREATE EXTENSION vector');
    for (const file of readdirSync(MIGRATIONS)
      .filter((name) => name.endsWith('.sql'))
      .sort()) {
      await this.admin.query(readFileSync(MIGRATIONS + file, 'utf8'));
    }
    await this.admin.query(
      `CREATE INDEX IF NOT EXISTS clinical_embeddings_embedding_idx ON clinical_embeddings
       USING hnsw (embedding halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)
       WHERE model_version = 'embedding-model/768/none'`
    );
  }

  async #createRole(project: string): Promise<void> {
    const role = this.#role(project);
    await this.admin.query(`CREATE ROLE ${role} LOGIN PASSWORD '${PASSWORD}'`);
    for (const table of TABLES) {
      await this.#allow(project, table);
    }
  }

  async #allow(project: string, table: string): Promise<void> {
    const role = this.#role(project);
    await this.admin.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO ${role}`);
    await this.admin.query(
      `CREATE POLICY ${role} ON ${table} TO ${role} USING (project_id = '${project}') WITH CHECK (project_id = '${project}')`
    );
  }

  #role(project: string): string {
    return `${this.#name}_${project.slice(0, 8)}_bot`;
  }

  #urlOf(user: string, password = new URL(SUPERUSER_URL).password): string {
    const url = new URL(SUPERUSER_URL);
    url.pathname = `/${this.#name}`;
    url.username = user;
    url.password = password;
    return url.href;
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
