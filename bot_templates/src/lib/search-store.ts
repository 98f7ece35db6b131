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
    const statement = way === 'exact' ? searchExact : searchProject;
    return database.query<HitRow>(inTable(statement, table), [...values, chunks]);
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
