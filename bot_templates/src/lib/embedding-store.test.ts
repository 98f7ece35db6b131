import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import resourceLock from '@sql/resource_lock.sql';
import { TestDatabase, WITHOUT_DATABASE } from '../../test/support/database.ts';
import { OTHER_PROJECT, PROJECT, secrets } from '../../test/support/events.ts';
import { embed } from '../../test/support/router.ts';
import type { Chunk } from './chunking.ts';
import { type Database, withDatabase } from './database.ts';
import { contentHash, refresh, replace, type RowOwner, withdraw } from './embedding-store.ts';
import { nearest, type Search } from './search-store.ts';
import { Secrets } from './secrets.ts';

const MODEL = 'embedding-model/768/none';
const JANUARY = '2024-01-01T00:00:00.000Z';
const FEBRUARY = '2024-02-01T00:00:00.000Z';
const MARCH = '2024-03-01T00:00:00.000Z';

const chunks = (...texts: string[]): Chunk[] => texts.map((text) => ({ contentType: 'note', section: 'Text', text }));
const vectors = (given: Chunk[]) => given.map(({ text }) => embed(text, 768));
const version = (updatedAt: string) => ({ versionId: randomUUID(), updatedAt, patientId: undefined });

describe('contentHash', () => {
  test('tells model, order, section and kind apart', () => {
    const [one, two] = [chunks('a', 'b'), chunks('b', 'a')];
    const hashes = [
      contentHash(MODEL, one),
      contentHash(MODEL, two),
      contentHash('other/768/none', one),
      contentHash(
        MODEL,
        one.map((chunk) => ({ ...chunk, section: 'Plan' }))
      ),
      contentHash(
        MODEL,
        one.map((chunk) => ({ ...chunk, contentType: 'structured' as const }))
      ),
      contentHash(MODEL, chunks('ab')),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(contentHash(MODEL, chunks('a', 'b'))).toBe(hashes[0]);
  });
});

describe.skipIf(WITHOUT_DATABASE)('the store (needs MEDBOTS_TEST_DATABASE_URL)', () => {
  let database: TestDatabase;
  let owner: RowOwner;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });
  afterAll(() => database.drop());
  beforeEach(async () => {
    await database.clear();
    owner = {
      projectId: PROJECT,
      resourceType: 'Condition',
      resourceId: randomUUID(),
      modelVersion: MODEL,
      dimension: 768,
    };
  });

  const using = <T>(work: (connection: Database) => Promise<T>, url = database.url()) =>
    withDatabase(new Secrets(secrets({ DATABASE_URL: url })), 'medbots test', work);
  const write = (updatedAt: string, given: Chunk[]) =>
    using((connection) => replace(connection, owner, version(updatedAt), given, vectors(given)));
  const texts = async () => (await database.rows()).map((row) => row.content_text);

  test('writes, replaces, shrinks, and refuses what is older', async () => {
    expect(await write(FEBRUARY, chunks('a', 'b', 'c'))).toBe('different');
    expect(await write(JANUARY, chunks('old'))).toBe('outdated');
    expect(await texts()).toEqual(['a', 'b', 'c']);
    expect(await write(MARCH, chunks('d'))).toBe('different');
    expect(await texts()).toEqual(['d']);
  });

  test('writes all chunks or none', async () => {
    const given = chunks('a', 'b');
    const broken = [embed('a', 768), new Array<number>(768).fill(0)];
    await expect(
      using((connection) => replace(connection, owner, version(MARCH), given, broken))
    ).rejects.toMatchObject({
      message: 'The database failed: 23514',
    });
    expect(await database.rows()).toEqual([]);
  });

  test('keeps two types with the same id apart', async () => {
    await write(FEBRUARY, chunks('a'));
    owner = { ...owner, resourceType: 'Observation' };
    await write(FEBRUARY, chunks('b'));
    expect((await texts()).sort()).toEqual(['a', 'b']);
  });

  test('withdraws what is not newer, and lets only newer back in', async () => {
    await write(FEBRUARY, chunks('a'));
    expect(await using((connection) => withdraw(connection, owner, undefined, JANUARY))).toBe(false);
    expect(await texts()).toEqual(['a']);
    expect(await using((connection) => withdraw(connection, owner, undefined, FEBRUARY))).toBe(true);
    expect(await database.rows()).toEqual([]);
    expect(await write(JANUARY, chunks('old'))).toBe('outdated');
    expect(await write(MARCH, chunks('new'))).toBe('different');
    expect(await database.tombstones()).toEqual([]);
  });

  test('withdraws the rows of every model', async () => {
    await write(FEBRUARY, chunks('a'));
    owner = { ...owner, modelVersion: 'older/768/none' };
    await write(FEBRUARY, chunks('a'));
    await using((connection) => withdraw(connection, owner, undefined, MARCH));
    expect(await database.rows()).toEqual([]);
  });

  test('never moves a tombstone back in time, and keeps the version it knows', async () => {
    const last = randomUUID();
    await using(async (connection) => {
      await withdraw(connection, owner, last, FEBRUARY);
      await withdraw(connection, owner, randomUUID(), JANUARY);
      await withdraw(connection, owner, undefined, MARCH);
    });
    expect(await database.tombstones()).toMatchObject([{ version_id: last, deleted_at: new Date(MARCH) }]);
  });

  test('refresh changes only what is unchanged', async () => {
    const given = chunks('a');
    await write(JANUARY, given);
    const [again, other] = [contentHash(MODEL, given), contentHash(MODEL, chunks('b'))];
    expect(await using((connection) => refresh(connection, owner, version(FEBRUARY), other))).toBe('different');
    expect(await database.rows()).toMatchObject([{ resource_updated_at: new Date(JANUARY) }]);
    expect(await using((connection) => refresh(connection, owner, version(FEBRUARY), again))).toBe('unchanged');
    expect(await database.rows()).toMatchObject([{ resource_updated_at: new Date(FEBRUARY) }]);
    expect(await using((connection) => refresh(connection, owner, version(JANUARY), again))).toBe('outdated');
  });

  test('an unchanged row is not written again', async () => {
    const given = chunks('a');
    const same = version(JANUARY);
    const tuple = async () =>
      (await database.admin.query('SELECT xmin, ctid::text FROM clinical_embeddings')).rows as unknown[];
    await using(async (connection) => {
      await replace(connection, owner, same, given, vectors(given));
      const before = await tuple();
      await refresh(connection, owner, same, contentHash(MODEL, given));
      expect(await tuple()).toEqual(before);
    });
  });

  test('writers of one resource wait for each other, those of others do not', async () => {
    const given = chunks('a');
    await using(async (holder) => {
      let finished = false;
      let waiting: Promise<unknown> | undefined;
      await holder.transaction(async () => {
        await holder.query(resourceLock, [owner.projectId, owner.resourceType, owner.resourceId]);
        waiting = write(MARCH, given).then(() => {
          finished = true;
        });
        const other = { ...owner, resourceId: randomUUID() };
        await using((connection) => replace(connection, other, version(MARCH), given, vectors(given)));
        await new Promise((resolve) => setTimeout(resolve, 100));
        expect(finished).toBe(false);
      });
      await waiting;
      expect(finished).toBe(true);
    });
  });

  test('even a role that sees every row finds and judges only those of its project', async () => {
    const patientId = randomUUID();
    const given = chunks('a');
    await using((connection) => replace(connection, owner, { ...version(FEBRUARY), patientId }, given, vectors(given)));
    const superuser = new URL(database.url());
    const own = new URL(process.env.MEDBOTS_TEST_DATABASE_URL ?? '');
    superuser.username = own.username;
    superuser.password = own.password;
    const search = (projectId: string, patient?: string): Search => ({
      projectId,
      patientId: patient,
      modelVersion: MODEL,
      vector: embed('a', 768),
      resourceTypes: undefined,
      contentType: undefined,
      dates: { start: undefined, end: undefined },
      minSimilarity: 0,
      limit: 10,
    });
    await using(async (connection) => {
      for (const patient of [undefined, patientId]) {
        expect(await nearest(connection, search(PROJECT, patient))).toHaveLength(1);
        expect(await nearest(connection, search(OTHER_PROJECT, patient))).toEqual([]);
      }
      const stranger = { ...owner, projectId: OTHER_PROJECT };
      expect(await refresh(connection, stranger, version(JANUARY), '')).toBe('different');
      await withdraw(connection, stranger, undefined, MARCH);
    }, superuser.href);
    expect(await texts()).toEqual(['a']);
  });
});
