import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TestDatabase, WITHOUT_DATABASE } from '../../test/support/database.ts';
import { secrets } from '../../test/support/events.ts';
import { type Database, withDatabase } from './database.ts';
import { Secrets } from './secrets.ts';

const using = <T>(url: string, work: (database: Database) => Promise<T>) =>
  withDatabase(new Secrets(secrets({ DATABASE_URL: url })), 'medbots test', work);

describe('withDatabase', () => {
  test.each(['mysql://localhost/x', 'localhost:5432', 'postgresql//x', 'postgres://[bad/x'])(
    'takes %s for no database URL, and does not repeat it',
    async (url) => {
      const failure = await using(url, async () => 1).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'NOT_CONFIGURED' });
      expect(String(failure)).not.toContain(url);
    }
  );

  test('says who refuses', async () => {
    await expect(using('postgresql://user:hunter2@127.0.0.1:1/x', async () => 1)).rejects.toMatchObject({
      code: 'DB_ERROR',
      message: 'The database refuses connections (ECONNREFUSED)',
    });
  });

  test('gives up on a host that accepts and says nothing', async () => {
    const server: Server = createServer(() => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `postgresql://a@127.0.0.1:${(server.address() as AddressInfo).port}/x`;
    await expect(using(url, async () => 1)).rejects.toMatchObject({
      code: expect.stringMatching(/TIMEOUT|DB_ERROR/) as unknown,
    });
    server.close();
  }, 15_000);
});

describe.skipIf(WITHOUT_DATABASE)('a connection (needs MEDBOTS_TEST_DATABASE_URL)', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await TestDatabase.create();
  });
  afterAll(() => database.drop());
  beforeEach(() => database.clear());

  test('is closed after the work, and after its failure', async () => {
    expect(await using(database.url(), () => database.connections())).toBe(1);
    await expect(using(database.url(), () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await expect.poll(() => database.connections()).toBe(0);
  });

  test('refuses a wrong password without repeating it', async () => {
    const url = new URL(database.url());
    url.password = 'hunter2';
    const failure = await using(url.href, async () => 1).catch((error: unknown) => error);
    // A cluster that trusts everyone on loopback asks for no password.
    if (failure !== 1) {
      expect(failure).toMatchObject({ code: 'DB_ERROR', message: expect.stringContaining('password') as unknown });
      expect(String(failure)).not.toContain('hunter2');
    }
  });

  test("reads what another transaction wrote meanwhile: READ COMMITTED, whatever the server's default", async () => {
    const levels = await using(database.url(), (connection) =>
      connection.transaction(() =>
        connection.query<{ level: string }>("SELECT current_setting('transaction_isolation') AS level", [])
      )
    );
    expect(levels).toEqual([{ level: 'read committed' }]);
  });

  test('rolls a failed transaction back, and can go on', async () => {
    const project = '11111111-1111-4111-8111-111111111111';
    await using(database.url(), async (connection) => {
      const work = connection.transaction(async () => {
        await connection.query(
          "INSERT INTO clinical_embedding_tombstones (project_id, fhir_resource_type, fhir_resource_id, deleted_at) VALUES ($1, 'Condition', $1, now())",
          [project]
        );
        throw new Error('no');
      });
      await expect(work).rejects.toThrow('no');
      expect(await connection.query('SELECT * FROM clinical_embedding_tombstones', [])).toEqual([]);
    });
  });

  test('ends a statement after five seconds', async () => {
    await expect(
      using(database.url(), (connection) => connection.transaction(() => connection.query('SELECT pg_sleep(20)', [])))
    ).rejects.toMatchObject({ code: 'TIMEOUT' });
    await expect.poll(() => database.connections(), { timeout: 8_000 }).toBe(0);
  }, 20_000);

  test('tells of an error its code and never the row that it quotes', async () => {
    const failure = await using(database.url(), (connection) =>
      connection.query("SELECT 'Eleanor Rigby'::int", [])
    ).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'DB_ERROR', message: 'The database failed: 22P02' });
    expect(JSON.stringify([failure, String(failure)])).not.toContain('Eleanor');
  });

  test('says which right is missing by the command that grants it', async () => {
    await expect(
      using(database.url(), (connection) => connection.query('CREATE TABLE public.x (y int)', []))
    ).rejects.toMatchObject({
      message: expect.stringContaining('medbots db init') as unknown,
    });
  });
});
