import { Client, type QueryResultRow } from 'pg';
import { BotFailure, errorName } from './failure.ts';
import type { Secrets } from './secrets.ts';
import { withTimeLimit } from './time-limit.ts';

const CONNECT_LIMIT_MS = 5_000;
/** Limit of one statement, at the server and again here. */
export const STATEMENT_LIMIT_MS = 5_000;
const CLOSE_LIMIT_MS = 1_000;

/** A connection that a bot's run borrows. */
export class Database {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /**
   * Runs one named query.
   * @throws BotFailure DB_ERROR, TIMEOUT, or DIMENSION_MISMATCH when the column has another length.
   */
  async query<Row extends QueryResultRow>(statement: string, values: readonly unknown[]): Promise<Row[]> {
    return withTimeLimit('A database statement', STATEMENT_LIMIT_MS + 500, async () => {
      try {
        return (await this.#client.query<Row>(statement, [...values])).rows;
      } catch (error) {
        throw databaseFailure(error);
      }
    });
  }

  /**
   * Runs work in a transaction at READ COMMITTED: a statement after a lock must see what the lock's last owner
   * wrote, and Medplum's Postgres may default to REPEATABLE READ.
   */
  async transaction<T>(work: () => Promise<T>): Promise<T> {
    await this.query(`BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = ${STATEMENT_LIMIT_MS}`, []);
    try {
      const result = await work();
      await this.query('COMMIT', []);
      return result;
    } catch (error) {
      await this.query('ROLLBACK', []).catch(() => undefined);
      throw error;
    }
  }
}

/**
 * Opens one connection for one run, and closes it whatever happens.
 *
 * A pool would leak: a bot's modules are made anew in every run.
 * @throws BotFailure NOT_CONFIGURED, DB_ERROR, TIMEOUT
 */
export async function withDatabase<T>(
  secrets: Secrets,
  applicationName: string,
  work: (database: Database) => Promise<T>
): Promise<T> {
  const connectionString = secrets.required('DATABASE_URL');
  if (!/^postgres(?:ql)?:\/\//.test(connectionString) || !URL.canParse(connectionString)) {
    throw new BotFailure('NOT_CONFIGURED', 'The project secret DATABASE_URL is no postgresql:// URL', {
      secret: 'DATABASE_URL',
    });
  }
  const client = new Client({
    connectionString,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_LIMIT_MS,
    query_timeout: STATEMENT_LIMIT_MS,
  });
  // Without a listener, a connection lost between two queries ends the server's process.
  client.on('error', () => undefined);
  try {
    await withTimeLimit('Connecting to the database', CONNECT_LIMIT_MS + 500, async () => {
      try {
        await client.connect();
      } catch (error) {
        throw databaseFailure(error);
      }
    });
    return await work(new Database(client));
  } finally {
    await withTimeLimit('Closing the database connection', CLOSE_LIMIT_MS, () => client.end()).catch(() => undefined);
  }
}

/** What the database said, by its code: messages and details quote values and rows. */
function databaseFailure(error: unknown): BotFailure {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const plainCode = typeof code === 'string' && /^\w{1,40}$/.test(code) ? code : undefined;
  const dimensions = /^expected (\d+) dimensions, not (\d+)$/.exec(String(message));
  if (dimensions) {
    return new BotFailure('DIMENSION_MISMATCH', `expected ${dimensions[1]} dimensions, got ${dimensions[2]}`, {
      expected: Number(dimensions[1]),
      got: Number(dimensions[2]),
      code: plainCode,
    });
  }
  if (plainCode === '57014' || message === 'Query read timeout') {
    return new BotFailure('TIMEOUT', `A database statement took longer than ${STATEMENT_LIMIT_MS} ms`);
  }
  const cause = (plainCode && CAUSES[plainCode]) ?? `failed: ${plainCode ?? errorName(error)}`;
  return new BotFailure('DB_ERROR', `The database ${cause}`, plainCode === undefined ? undefined : { code: plainCode });
}

/** The failure of a database that has not been initialised. */
export function noTables(): BotFailure {
  return databaseFailure({ code: '42P01' });
}

/** What an operator can act on. */
const CAUSES: Record<string, string> = {
  ECONNREFUSED: 'refuses connections (ECONNREFUSED)',
  ENOTFOUND: 'host of the project secret DATABASE_URL is not known (ENOTFOUND)',
  '28P01': 'refused the password of the project secret DATABASE_URL (28P01)',
  '28000': 'refused the role of the project secret DATABASE_URL (28000)',
  '3D000': 'of the project secret DATABASE_URL does not exist (3D000)',
  '42P01': 'has no embedding tables: run `medbots db init` (42P01)',
  '42703': 'has an older schema: run `medbots db migrate` (42703)',
  '42704': 'has no pgvector in the search path: run `medbots db init` (42704)',
  '42501': 'role has not the rights it needs: run `medbots db init` (42501)',
  '53300': 'has too many connections (53300)',
};
