import clearTombstone from '@sql/clear_tombstone.sql';
import deleteResource from '@sql/delete_resource.sql';
import deleteSurplusChunks from '@sql/delete_surplus_chunks.sql';
import putTombstone from '@sql/put_tombstone.sql';
import refreshVersion from '@sql/refresh_version.sql';
import resourceLock from '@sql/resource_lock.sql';
import resourceState from '@sql/resource_state.sql';
import upsertChunks from '@sql/upsert_chunks.sql';
import type { Chunk } from './chunking.ts';
import { type Database, noTables } from './database.ts';
import { type Generations, inTable, onCurrentTables, tableOf } from './generations.ts';
import { sha256 } from './hash.ts';
import { vectorsBinary } from './vector-binary.ts';

/** Which rows are meant. */
export interface RowOwner {
  projectId: string;
  resourceType: string;
  resourceId: string;
  modelVersion: string;
  /** Length of the model's vectors, which tells the table. */
  dimension: number;
}

/** A version of a resource, as the server holds it. */
export interface ResourceVersion {
  versionId: string;
  /** `meta.lastUpdated` */
  updatedAt: string;
  patientId: string | undefined;
}

/** How a stored chunk set stands to a version: `outdated` versions must change nothing. */
export type Standing = 'outdated' | 'unchanged' | 'different';

/** SHA-256 over all that a chunk set is made of; equal hashes need no new vectors. */
export function contentHash(modelVersion: string, chunks: readonly Chunk[]): string {
  return sha256(JSON.stringify([modelVersion, chunks.map((chunk) => [chunk.contentType, chunk.section, chunk.text])]));
}

/** Lets rows whose text has not changed stand for a new version; changes nothing for an outdated one. */
export async function refresh(
  database: Database,
  owner: RowOwner,
  version: ResourceVersion,
  hash: string
): Promise<Standing> {
  return asOnlyWriter(database, owner, async (generations) => {
    const table = tableOf(generations, owner.dimension);
    const found = await standing(database, table, owner, version, hash);
    if (found === 'unchanged') {
      await database.query(inTable(refreshVersion, table), [
        ...resourceKey(owner),
        owner.modelVersion,
        version.versionId,
        version.updatedAt,
        version.patientId ?? null,
      ]);
      await database.query(clearTombstone, resourceKey(owner));
    }
    return found;
  });
}

/**
 * Makes the rows of a resource those of one version, all or none.
 * @param vectors - One a chunk, of the owner's dimension.
 * @returns `outdated` when a newer version, or the resource's end, came first: nothing was written.
 */
export async function replace(
  database: Database,
  owner: RowOwner,
  version: ResourceVersion,
  chunks: readonly Chunk[],
  vectors: readonly (readonly number[])[]
): Promise<Standing> {
  const hash = contentHash(owner.modelVersion, chunks);
  const values = [
    ...resourceKey(owner),
    version.versionId,
    version.patientId ?? null,
    owner.modelVersion,
    hash,
    version.updatedAt,
    chunks.map((chunk) => chunk.contentType),
    chunks.map((chunk) => chunk.section),
    chunks.map((chunk) => chunk.text),
  ];
  return asOnlyWriter(database, owner, async (generations, vectorType) => {
    const table = tableOf(generations, owner.dimension);
    const found = await standing(database, table, owner, version, hash);
    if (found === 'outdated') {
      return found;
    }
    await database.query(inTable(upsertChunks, table), [...values, vectorsBinary(vectors, vectorType)]);
    await database.query(inTable(deleteSurplusChunks, table), [
      ...resourceKey(owner),
      owner.modelVersion,
      chunks.length,
    ]);
    await database.query(clearTombstone, resourceKey(owner));
    return 'different';
  });
}

/**
 * Removes a resource's rows from every table, and marks that nothing older than an instant may come back. Rows that
 * another model has of a later version stay, as bots that moved to it have made.
 * @param until - When the resource was known to be gone, or when the version was made that must not be found.
 * @returns False when a newer version is stored: it stays.
 */
export async function withdraw(
  database: Database,
  owner: RowOwner,
  versionId: string | undefined,
  until: string
): Promise<boolean> {
  return asOnlyWriter(database, owner, async ({ tables }) => {
    for (const table of tables) {
      const [state] = await database.query<{ newer_stored: boolean }>(inTable(resourceState, table), [
        ...resourceKey(owner),
        owner.modelVersion,
        until,
      ]);
      if (state?.newer_stored) {
        return false;
      }
    }
    for (const table of tables) {
      await database.query(inTable(deleteResource, table), [...resourceKey(owner), until]);
    }
    await database.query(putTombstone, [...resourceKey(owner), versionId ?? null, until]);
    return true;
  });
}

interface LockRow {
  generations: string[];
  dimensions: number[];
  vector_type: number;
}

/**
 * Runs a transaction beside which nobody else writes the resource.
 * @param work - Is given the tables that there are, and the object id of the type `vector`.
 */
async function asOnlyWriter<T>(
  database: Database,
  owner: RowOwner,
  work: (generations: Generations, vectorType: number) => Promise<T>
): Promise<T> {
  return onCurrentTables(database, async () => {
    const [found] = await database.query<LockRow>(resourceLock, resourceKey(owner));
    if (!found) {
      throw noTables();
    }
    return work({ tables: found.generations, dimensions: found.dimensions }, found.vector_type);
  });
}

/** Compares a version with what is stored in a table. */
async function standing(
  database: Database,
  table: string,
  owner: RowOwner,
  version: ResourceVersion,
  hash: string
): Promise<Standing> {
  const [state] = await database.query<{ content_hash: string | null; newer_stored: boolean; withdrawn: boolean }>(
    inTable(resourceState, table),
    [...resourceKey(owner), owner.modelVersion, version.updatedAt]
  );
  if (!state || state.newer_stored || state.withdrawn) {
    return 'outdated';
  }
  return state.content_hash === hash ? 'unchanged' : 'different';
}

function resourceKey(owner: RowOwner): [string, string, string] {
  return [owner.projectId, owner.resourceType, owner.resourceId];
}
