import searchExact from '@sql/search_exact.sql';
import searchPatient from '@sql/search_patient.sql';
import searchProject from '@sql/search_project.sql';
import searchSettings from '@sql/search_settings.sql';
import { type Database, STATEMENT_LIMIT_MS } from './database.ts';
import { inTable, onCurrentTables, tableOf } from './generations.ts';
import { vectorBinary } from './vector-binary.ts';

/** What is looked for. */
export interface Search {
  projectId: string;
  modelVersion: string;
  vector: readonly number[];
  /** Without a patient, all of the project is searched. */
  patientId: string | undefined;
  resourceTypes: readonly string[] | undefined;
  contentType: string | undefined;
  /** First and last clinical date, YYYY-MM-DD. */
  dates: { start: string | undefined; end: string | undefined };
  /** Least cosine similarity. */
  minSimilarity: number;
  /** Number of resources. */
  limit: number;
}

/** The best chunk of a resource. */
export interface Hit {
  resourceType: string;
  resourceId: string;
  versionId: string;
  patientId: string | undefined;
  text: string;
  /** Cosine similarity, -1 to 1. */
  similarity: number;
}

interface HitRow {
  fhir_resource_type: string;
  fhir_resource_id: string;
  version_id: string;
  patient_id: string | null;
  content_text: string;
  distance: number;
}

/** A row of the vector index, with the number of chunks that the index gave in all. */
interface IndexRow extends HitRow {
  reached: number;
}

/** Chunks fetched for each resource wanted, where the nearest may all be of one document. */
const CHUNKS_PER_RESOURCE = 4;

/** What the settings of a search answer; `search_settings.sql` tells of them. */
interface SettingsRow {
  generation: string | null;
  dimensions: number[];
  way: 'patient' | 'type' | 'exact' | 'index' | 'wide';
}

/**
 * The nearest resources, nearest first: exact for one patient and where few rows are meant, else through an index.
 *
 * An index that gave up before it had enough chunks has left some out: then every row is compared. That happens where
 * few rows are of the dates or the content type that are asked for, which no statistics tell beforehand.
 * @throws BotFailure DIMENSION_MISMATCH, DB_ERROR, TIMEOUT
 */
export async function nearest(database: Database, search: Search): Promise<Hit[]> {
  const { projectId, modelVersion, vector, patientId } = search;
  const resourceTypes = search.resourceTypes && [...new Set(search.resourceTypes)];
  const chunks = search.limit * CHUNKS_PER_RESOURCE;
  const values = [
    vectorBinary(vector),
    projectId,
    modelVersion,
    resourceTypes ?? null,
    search.contentType ?? null,
    search.dates.start ?? null,
    search.dates.end ?? null,
    1 - search.minSimilarity,
    search.limit,
  ];
  const rows = await onCurrentTables(database, async () => {
    const [settings] = await database.query<SettingsRow>(searchSettings, [
      STATEMENT_LIMIT_MS,
      projectId,
      modelVersion,
      resourceTypes ?? null,
      vector.length,
      patientId !== undefined,
      chunks,
    ]);
    const { generation = null, dimensions = [], way } = settings ?? {};
    const table = generation ?? tableOf({ tables: [], dimensions }, vector.length);
    if (patientId !== undefined) {
      return database.query<HitRow>(inTable(searchPatient, table), [...values, patientId]);
    }
    if (way !== 'exact') {
      const found = await database.query<IndexRow>(inTable(searchProject, table), [...values, chunks]);
      if (found[0] ? found[0].reached >= chunks : !isNarrow(search)) {
        return found;
      }
    }
    return database.query<HitRow>(inTable(searchExact, table), [...values, chunks]);
  });
  return rows.map((row) => ({
    resourceType: row.fhir_resource_type,
    resourceId: row.fhir_resource_id,
    versionId: row.version_id,
    patientId: row.patient_id ?? undefined,
    text: row.content_text,
    similarity: 1 - row.distance,
  }));
}

/** Whether something is asked for by which no index is chosen. Else, nothing found is nothing similar enough. */
function isNarrow({ contentType, dates }: Search): boolean {
  return contentType !== undefined || dates.start !== undefined || dates.end !== undefined;
}
