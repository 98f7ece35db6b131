import { type Database, noTables } from './database.ts';
import { BotFailure } from './failure.ts';

/**
 * The tables of embeddings that there are, the one in use first. There are two while vectors of another dimension
 * are being made, and until those of the former one are dropped; a run takes the one of its contract's dimension.
 */
export interface Generations {
  tables: readonly string[];
  dimensions: readonly number[];
}

/** A named query for another table than `public.clinical_embeddings`. */
export function inTable(statement: string, table: string): string {
  return statement.replaceAll('public.clinical_embeddings', table);
}

/**
 * The table whose vectors have a dimension.
 * @throws BotFailure DIMENSION_MISMATCH where there is none, DB_ERROR without any table
 */
export function tableOf({ tables, dimensions }: Generations, dimension: number): string {
  const table = tables[dimensions.indexOf(dimension)];
  if (table !== undefined) {
    return table;
  }
  if (dimensions.length === 0) {
    throw noTables();
  }
  throw new BotFailure(
    'DIMENSION_MISMATCH',
    `expected ${dimensions.join(' or ')} dimensions, got ${dimension} (EMBEDDING_DIM): run ` +
      '`medbots db migrate --reembed`',
    { expected: dimensions[0], got: dimension }
  );
}

/**
 * Runs a transaction, and once more where a table went by another name between looking and using it.
 * @param work - Looks for its table itself.
 */
export async function onCurrentTables<T>(database: Database, work: () => Promise<T>): Promise<T> {
  try {
    return await database.transaction(work);
  } catch (error) {
    if (!(error instanceof BotFailure) || !MOVED.has(String(error.details?.code))) {
      throw error;
    }
    return database.transaction(work);
  }
}

/** SQLSTATEs of a statement whose table is gone, or has come to hold vectors of another dimension. */
const MOVED = new Set(['42P01', '22000']);
