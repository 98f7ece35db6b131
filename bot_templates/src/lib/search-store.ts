import { Buffer } from 'node:buffer';
import searchPatient from '@sql/search_patient.sql';
import searchProject from '@sql/search_project.sql';
import searchSettings from '@sql/search_settings.sql';
import { type Database, STATEMENT_LIMIT_MS } from './database.ts';

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

/** The nearest resources, nearest first: exact for one patient, through the index for a project. */
export async function nearest(database: Database, search: Search): Promise<Hit[]> {
  const values = [
    vectorBinary(search.vector),
    search.projectId,
    search.modelVersion,
    search.resourceTypes ?? null,
    search.contentType ?? null,
    search.dates.start ?? null,
    search.dates.end ?? null,
    1 - search.minSimilarity,
    search.limit,
  ];
  const rows = await database.transaction(async () => {
    await database.query(searchSettings, [STATEMENT_LIMIT_MS]);
    return search.patientId === undefined
      ? database.query<HitRow>(searchProject, [...values, search.limit * CHUNKS_PER_RESOURCE])
      : database.query<HitRow>(searchPatient, [...values, search.patientId]);
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

/** pgvector's wire form of `vector`: two 16-bit numbers (length, zero), then 32-bit floats; pg sends a Buffer as is. */
export function vectorBinary(vector: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 + 4 * vector.length);
  bytes.writeInt16BE(vector.length, 0);
  for (const [position, value] of vector.entries()) {
    bytes.writeFloatBE(value, 4 + 4 * position);
  }
  return bytes;
}
