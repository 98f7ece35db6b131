import { withDatabase } from './database.ts';
import { modelVersion, readEmbeddingContract } from './embedding-contract.ts';
import { embedTexts } from './embeddings.ts';
import { readProjectId } from './project.ts';
import { fieldsHiddenOf, readableVersions } from './requester.ts';
import { type ClinicTask, readRouterConfig } from './router.ts';
import type { BotRun } from './run.ts';
import { type Hit as StoredHit, nearest, type Search } from './search-store.ts';

/** What is looked for. */
export interface Query extends Omit<Search, 'projectId' | 'modelVersion' | 'vector'> {
  query: string;
}

/** A record that the requester may read, with its best chunk. */
export interface Hit extends StoredHit {
  /** The requester sees only some fields of this type: the stored text may quote the others. */
  textHidden: boolean;
}

/** What a search found. */
export interface Retrieved {
  /** Nearest first, at most as many as asked for. */
  hits: Hit[];
  /** Records that were near and dropped: not the requester's to read, gone, or changed since. */
  filteredCount: number;
}

/** Hits fetched for each result wanted, for some will be dropped. */
const OVERFETCH = 3;

/**
 * Finds records by meaning, with the rights of the run.
 *
 * Every hit is read again through FHIR: what the requester may not read, what is gone, what changed since it was
 * embedded, and what is not the patient's is dropped. Whoever names a patient has read them before, with the same
 * rights: the count alone tells something of a record.
 * @throws BotFailure NOT_CONFIGURED, PHI_ROUTE_BLOCKED, LLM_ROUTER_ERROR, EMBEDDING_ERROR, DIMENSION_MISMATCH, TIMEOUT,
 * DB_ERROR
 */
export async function retrieve(run: BotRun, task: ClinicTask, query: Query): Promise<Retrieved> {
  const { patientId } = query;
  const contract = readEmbeddingContract(run.secrets);
  const router = readRouterConfig(run.secrets, run.bot.name);
  const projectId = readProjectId(run.secrets);
  const limitMs = run.secrets.integer('EMBED_TIMEOUT_MS', 5_000, 100, 120_000);
  const [vectors, fieldsHidden] = await Promise.all([
    embedTexts(router, contract, task, 'query', [query.query], limitMs),
    fieldsHiddenOf(run.medplum),
  ]);
  const found = await withDatabase(run.secrets, `medbots ${run.bot.key}`, (database) =>
    nearest(database, {
      ...query,
      projectId,
      modelVersion: modelVersion(contract),
      vector: vectors[0] ?? [],
      limit: query.limit * OVERFETCH,
    })
  );
  const versions = await readableVersions(run.medplum, found, patientId);
  const kept = found.filter((hit) => versions.get(`${hit.resourceType}/${hit.resourceId}`) === hit.versionId);
  return {
    hits: kept.slice(0, query.limit).map((hit) => ({ ...hit, textHidden: fieldsHidden(hit.resourceType) })),
    filteredCount: found.length - kept.length,
  };
}
