import clearTombstone from '@sql/clear_tombstone.sql';
import deleteResource from '@sql/delete_resource.sql';
import deleteSurplusChunks from '@sql/delete_surplus_chunks.sql';
import putTombstone from '@sql/put_tombstone.sql';
import refreshVersion from '@sql/refresh_version.sql';
import resourceLock from '@sql/resource_lock.sql';
import resourceState from '@sql/resource_state.sql';
import upsertChunks from '@sql/upsert_chunks.sql';
import type { Chunk } from './chunking.ts';
import type { Database } from './database.ts';
import { sha256 } from './hash.ts';

/** Which rows are meant. */
export interface RowOwner {
  projectId: string;
  resourceType: string;
  resourceId: string;
  modelVersion: string;
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

/** Compares a version with what is stored. */
export async function standing(
  database: Database,
  owner: RowOwner,
  version: ResourceVersion,
  hash: string
): Promise<Standing> {
  const [state] = await database.query<{ content_hash: string | null; newer_stored: boolean; withdrawn: boolean }>(
    resourceState,
    [...resourceKey(owner), owner.modelVersion, version.updatedAt]
  );
  if (!state || state.newer_stored || state.withdrawn) {
    return 'outdated';
  }
  return state.content_hash === hash ? 'unchanged' : 'different';
}

/** Lets rows whose text has not changed stand for a new version; changes nothing for an outdated one. */
export async function refresh(
  database: Database,
  owner: RowOwner,
  version: ResourceVersion,
  hash: string
): Promise<Standing> {
  return database.transaction(async () => {
    await database.query(resourceLock, resourceKey(owner));
    const found = await standing(database, owner, version, hash);
    if (found === 'unchanged') {
      await database.query(refreshVersion, [
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
 * @param vectors - One a chunk.
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
  return database.transaction(async () => {
    await database.query(resourceLock, resourceKey(owner));
    const found = await standing(database, owner, version, hash);
    if (found === 'outdated') {
      return found;
    }
    await database.query(upsertChunks, [
      ...resourceKey(owner),
      version.versionId,
      version.patientId ?? null,
      owner.modelVersion,
      hash,
      version.updatedAt,
      chunks.map((chunk) => chunk.contentType),
      chunks.map((chunk) => chunk.section),
      chunks.map((chunk) => chunk.text),
      // A JavaScript array is no vector literal: pg would write {…}.
      vectors.map((vector) => `[${vector.join(',')}]`),
    ]);
    await database.query(deleteSurplusChunks, [...resourceKey(owner), owner.modelVersion, chunks.length]);
    await database.query(clearTombstone, resourceKey(owner));
    return 'different';
  });
}

/**
 * Removes a resource's rows, and marks that nothing older than an instant may come back.
 * @param until - When the resource was known to be gone, or when the version was made that must not be found.
 * @returns False when a newer version is stored: it stays.
 */
export async function withdraw(
  database: Database,
  owner: RowOwner,
  versionId: string | undefined,
  until: string
): Promise<boolean> {
  return database.transaction(async () => {
    await database.query(resourceLock, resourceKey(owner));
    const [state] = await database.query<{ newer_stored: boolean }>(resourceState, [
      ...resourceKey(owner),
      owner.modelVersion,
      until,
    ]);
    if (state?.newer_stored) {
      return false;
    }
    await database.query(deleteResource, resourceKey(owner));
    await database.query(putTombstone, [...resourceKey(owner), versionId ?? null, until]);
    return true;
  });
}

function resourceKey(owner: RowOwner): [string, string, string] {
  return [owner.projectId, owner.resourceType, owner.resourceId];
}
