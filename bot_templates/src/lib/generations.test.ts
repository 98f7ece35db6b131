import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TestDatabase, WITHOUT_DATABASE } from '../../test/support/database.ts';
import { PROJECT, secrets } from '../../test/support/events.ts';
import { embed } from '../../test/support/router.ts';
import type { Chunk } from './chunking.ts';
import { type Database, withDatabase } from './database.ts';
import { contentHash, refresh, replace, type RowOwner, withdraw } from './embedding-store.ts';
import { tableOf } from './generations.ts';
import { nearest } from './search-store.ts';
import { Secrets } from './secrets.ts';

const NEXT = 'clinical_embeddings_next';
const PREVIOUS = 'clinical_embeddings_previous';
const JANUARY = '2024-01-01T00:00:00.000Z';
const FEBRUARY = '2024-02-01T00:00:00.000Z';

const CHUNKS: Chunk[] = [{ contentType: 'note', section: 'Text', text: 'asthma' }];
const version = (updatedAt: string) => ({ versionId: randomUUID(), updatedAt, patientId: undefined });

describe('tableOf', () => {
  const two = { tables: ['a', 'b'], dimensions: [4, 8] };

  test('is the table of the dimension', () => {
    expect([tableOf(two, 4), tableOf(two, 8)]).toEqual(['a', 'b']);
  });

  test('names the dimensions that there are, and the cure', () => {
    expect(() => tableOf(two, 6)).toThrow(
      'expected 4 or 8 dimensions, got 6 (EMBEDDING_DIM): run `medbots db migrate --reembed`'
    );
  });

  test('asks for the tables where there are none', () => {
    expect(() => tableOf({ tables: [], dimensions: [] }, 4)).toThrow('run `medbots db init`');
  });
});

describe.skipIf(WITHOUT_DATABASE)('tables of two dimensions (needs MEDBOTS_TEST_DATABASE_URL)', () => {
  let database: TestDatabase;
  let owner: RowOwner;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });
  afterAll(() => database.drop());
  beforeEach(() => {
    owner = { projectId: PROJECT, resourceType: 'Condition', resourceId: randomUUID(), modelVersion: '', dimension: 0 };
    owner = ofDimension(768);
  });
  afterEach(async () => {
    await database.clear();
    await database.admin.query(`DROP TABLE IF EXISTS ${NEXT}, ${PREVIOUS}`);
  });

  const ofDimension = (dimension: number): RowOwner => ({
    ...owner,
    dimension,
    modelVersion: `embedding-model/${dimension}/none`,
  });
  const using = <T>(work: (connection: Database) => Promise<T>) =>
    withDatabase(new Secrets(secrets({ DATABASE_URL: database.url() })), 'medbots test', work);
  const write = (as: RowOwner, updatedAt = JANUARY) =>
    using((connection) =>
      replace(
        connection,
        as,
        version(updatedAt),
        CHUNKS,
        CHUNKS.map(({ text }) => embed(text, as.dimension))
      )
    );
  const search = (connection: Database, as: RowOwner, patientId?: string) =>
    nearest(connection, {
      projectId: PROJECT,
      patientId,
      modelVersion: as.modelVersion,
      vector: embed('asthma', as.dimension),
      resourceTypes: undefined,
      contentType: undefined,
      dates: { start: undefined, end: undefined },
      minSimilarity: 0,
      limit: 10,
    });
  const rowsOf = async (table: string) =>
    (await database.admin.query(`SELECT model_version FROM ${table}`)).rows.map(
      (row: { model_version: string }) => row.model_version
    );
  /** Swaps two tables' names, as a change of dimension does. */
  const switchTables = () =>
    database.admin.query(
      `BEGIN; ALTER TABLE clinical_embeddings RENAME TO ${PREVIOUS};
       ALTER TABLE ${NEXT} RENAME TO clinical_embeddings; COMMIT`
    );
  const switchBack = () =>
    database.admin.query(
      `BEGIN; ALTER TABLE clinical_embeddings RENAME TO ${NEXT};
       ALTER TABLE ${PREVIOUS} RENAME TO clinical_embeddings; COMMIT`
    );

  test('each contract writes to and searches the table of its dimension, whatever it is called', async () => {
    await database.makeGeneration(NEXT, 4);
    const short = ofDimension(4);
    await write(owner);
    await write(short);
    expect(await rowsOf('clinical_embeddings')).toEqual([owner.modelVersion]);
    expect(await rowsOf(NEXT)).toEqual([short.modelVersion]);
    await switchTables();
    try {
      await using(async (connection) => {
        for (const contract of [owner, short]) {
          expect(await search(connection, contract)).toMatchObject([{ resourceId: owner.resourceId, text: 'asthma' }]);
          const hash = contentHash(contract.modelVersion, CHUNKS);
          expect(await refresh(connection, contract, version(FEBRUARY), hash)).toBe('unchanged');
        }
      });
      expect(await rowsOf(PREVIOUS)).toEqual([owner.modelVersion]);
    } finally {
      await switchBack();
    }
  });

  test('a resource that ends leaves every table, and comes back to none', async () => {
    await database.makeGeneration(NEXT, 4);
    await database.makeGeneration(PREVIOUS, 8);
    const every = [owner, ofDimension(4), ofDimension(8)];
    for (const contract of every) {
      await write(contract);
    }
    expect(await using((connection) => withdraw(connection, owner, undefined, FEBRUARY))).toBe(true);
    for (const [position, table] of ['clinical_embeddings', NEXT, PREVIOUS].entries()) {
      expect(await rowsOf(table)).toEqual([]);
      expect(await write(every[position] ?? owner)).toBe('outdated');
    }
  });

  test('what another model has of a later version stays, where an older one ends', async () => {
    await database.makeGeneration(NEXT, 4);
    const short = ofDimension(4);
    const beside = { ...owner, modelVersion: 'other-model/768/none' };
    await write(owner);
    await write(short, FEBRUARY);
    await write(beside, FEBRUARY);
    expect(await using((connection) => withdraw(connection, owner, undefined, JANUARY))).toBe(true);
    expect(await rowsOf('clinical_embeddings')).toEqual([beside.modelVersion]);
    expect(await rowsOf(NEXT)).toEqual([short.modelVersion]);
    expect([await write(owner, FEBRUARY), await write(short, FEBRUARY)]).toEqual(['different', 'different']);
  });

  test('a resource ends also where no table has the dimension of the contract', async () => {
    await write(owner);
    expect(await using((connection) => withdraw(connection, ofDimension(16), undefined, FEBRUARY))).toBe(true);
    expect(await database.rows()).toEqual([]);
  });

  test('without a table of its dimension, nothing is written or found', async () => {
    await write(owner);
    const before = await database.rows();
    const failure = {
      code: 'DIMENSION_MISMATCH',
      message: 'expected 768 dimensions, got 16 (EMBEDDING_DIM): run `medbots db migrate --reembed`',
      details: { expected: 768, got: 16 },
    };
    const long = ofDimension(16);
    await expect(write(long, FEBRUARY)).rejects.toMatchObject(failure);
    await using(async (connection) => {
      await expect(refresh(connection, long, version(FEBRUARY), '')).rejects.toMatchObject(failure);
      await expect(search(connection, long)).rejects.toMatchObject(failure);
      await expect(search(connection, long, randomUUID())).rejects.toMatchObject(failure);
    });
    expect(await database.rows()).toEqual(before);
  });

  /** Runs `between` once, between looking for the table and using it. */
  const interrupted = (connection: Database, between: () => Promise<unknown>): Database => {
    let statements = 0;
    const plain = connection.query.bind(connection);
    connection.query = (async (statement: string, values: readonly unknown[]) => {
      const answer = await plain(statement, values);
      if (++statements === 2) {
        await between();
      }
      return answer;
    }) as Database['query'];
    return connection;
  };
  const rename = (from: string, to: string) => database.admin.query(`ALTER TABLE ${from} RENAME TO ${to}`);

  test('a table that gets another name in between is looked for once more', async () => {
    await database.makeGeneration(PREVIOUS, 4);
    const short = ofDimension(4);
    await write(short);
    const written = await using((connection) =>
      replace(interrupted(connection, () => rename(PREVIOUS, NEXT)), short, version(FEBRUARY), CHUNKS, [
        embed('asthma', 4),
      ])
    );
    expect(written).toBe('different');
    const found = await using((connection) => search(interrupted(connection, () => rename(NEXT, PREVIOUS)), short));
    expect(found).toHaveLength(1);
    expect(await rowsOf(PREVIOUS)).toEqual([short.modelVersion]);
    expect(await database.rows()).toEqual([]);
  });

  test('a table that goes in between is missed, not replaced by another', async () => {
    await database.makeGeneration(PREVIOUS, 4);
    const short = ofDimension(4);
    await expect(
      using((connection) =>
        search(interrupted(connection, () => database.admin.query(`DROP TABLE ${PREVIOUS}`)), short)
      )
    ).rejects.toMatchObject({ code: 'DIMENSION_MISMATCH' });
  });

  test('a table keeps its name until a writer or a search has ended', async () => {
    await database.makeGeneration(NEXT, 4);
    const attempts: unknown[] = [];
    const attempt = async () => {
      await database.admin.query("SET lock_timeout = '100ms'");
      attempts.push(await switchTables().catch((error: { code: string }) => error.code));
      await database.admin.query('ROLLBACK; RESET lock_timeout');
    };
    await using(async (connection) => {
      await search(interrupted(connection, attempt), owner);
    });
    await using(async (connection) => {
      await refresh(interrupted(connection, attempt), owner, version(FEBRUARY), '');
    });
    expect(attempts).toEqual(['55P03', '55P03']);
  });
});
