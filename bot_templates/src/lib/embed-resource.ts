import type { Chunk } from './chunking.ts';
import type { Database } from './database.ts';
import { embeddable } from './embeddable.ts';
import { type EmbeddingContract, modelVersion } from './embedding-contract.ts';
import { contentHash, refresh, replace, type ResourceVersion, type RowOwner, withdraw } from './embedding-store.ts';
import { embedTexts } from './embeddings.ts';
import { BotFailure } from './failure.ts';
import { isUuid, referencedId } from './ids.ts';
import {
  type EmbeddedResource,
  type RecordSources,
  type Skipped,
  subjectReference,
} from './record/record-text.ts';
import type { RouterConfig } from './router.ts';

/** What embedding needs, the same for every resource of a run. */
export interface Embedder {
  database: Database;
  router: RouterConfig;
  contract: EmbeddingContract;
  /** Time limit of one attempt of the embedding call. */
  limitMs: number;
  projectId: string;
  sources: RecordSources;
}

/** What became of one resource. */
export interface Embedded {
  resourceType: string;
  resourceId: string;
  /** Vectors made and stored. */
  embeddingsCreated: number;
  /** Chunks that the resource's text has. */
  chunksProcessed: number;
  skipped?: Skipped[];
  /** The store was right already, or holds something newer. */
  unchanged?: true;
  /** Rows were removed, for the resource is gone or must not be found. */
  removed?: true;
}

/**
 * Brings the rows of a resource to the version given, which the caller has just read from the server.
 *
 * The model is called only for a text that is not stored yet; rows change only once every vector is there.
 */
export async function embedResource(embedder: Embedder, resource: EmbeddedResource): Promise<Embedded> {
  const owner = rowOwner(embedder, resource.resourceType, resource.id);
  const version = resourceVersion(resource);
  const { chunks, skipped } = await embeddable(resource, embedder.sources);
  if (chunks.length === 0) {
    return withhold(embedder, owner, version, skipped);
  }
  const hash = contentHash(owner.modelVersion, chunks);
  const standing = await refresh(embedder.database, owner, version, hash);
  const changed =
    standing === 'different' &&
    (await replace(embedder.database, owner, version, chunks, await vectorsOf(embedder, chunks))) === 'different';
  return {
    resourceType: owner.resourceType,
    resourceId: owner.resourceId,
    embeddingsCreated: changed ? chunks.length : 0,
    chunksProcessed: chunks.length,
    ...(skipped.length > 0 ? { skipped } : {}),
    ...(changed ? {} : { unchanged: true as const }),
  };
}

/**
 * Removes the rows of a resource that the server no longer has.
 * @param knownGoneAt - An instant at which it was gone for sure, as the Medplum server's clock has it.
 */
export async function removeResource(
  embedder: Pick<Embedder, 'database' | 'contract' | 'projectId'>,
  resourceType: string,
  resourceId: string,
  lastVersionId: string | undefined,
  knownGoneAt: string
): Promise<Embedded> {
  const owner = rowOwner(embedder, resourceType, resourceId);
  const removed = await withdraw(embedder.database, owner, lastVersionId, knownGoneAt);
  return {
    resourceType,
    resourceId,
    embeddingsCreated: 0,
    chunksProcessed: 0,
    ...(removed ? { removed: true } : { unchanged: true }),
  };
}

async function withhold(
  embedder: Embedder,
  owner: RowOwner,
  version: ResourceVersion,
  skipped: Skipped[]
): Promise<Embedded> {
  const done = await withdraw(embedder.database, owner, version.versionId, version.updatedAt);
  return {
    resourceType: owner.resourceType,
    resourceId: owner.resourceId,
    embeddingsCreated: 0,
    chunksProcessed: 0,
    skipped,
    ...(done ? { removed: true } : { unchanged: true }),
  };
}

function vectorsOf(embedder: Embedder, chunks: readonly Chunk[]): Promise<number[][]> {
  const texts = chunks.map((chunk) => chunk.text);
  return embedTexts(embedder.router, embedder.contract, 'embedding', 'document', texts, embedder.limitMs);
}

function rowOwner(
  embedder: Pick<Embedder, 'contract' | 'projectId'>,
  resourceType: string,
  resourceId: string | undefined
): RowOwner {
  if (!isUuid(resourceId)) {
    throw new BotFailure('INVALID_INPUT', `A ${resourceType} has an id that is no UUID`);
  }
  const { contract, projectId } = embedder;
  return { projectId, resourceType, resourceId, modelVersion: modelVersion(contract), dimension: contract.dimension };
}

function resourceVersion(resource: EmbeddedResource): ResourceVersion {
  const { versionId, lastUpdated } = resource.meta ?? {};
  if (!versionId || !lastUpdated) {
    throw new BotFailure('EMBEDDING_ERROR', `${resource.resourceType}/${resource.id} was read without its version`);
  }
  return { versionId, updatedAt: lastUpdated, patientId: referencedId(subjectReference(resource), 'Patient') };
}
