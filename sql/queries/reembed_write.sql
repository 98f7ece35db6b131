-- Writes the rows of resources anew, with the vectors of another model. The caller holds the resources' locks.
-- public.source_embeddings stands for the table that was read.
-- $1 model version that is being filled; one element a row: $2 ids of the rows that were read, $3 vectors,
-- $4 content hashes
INSERT INTO public.clinical_embeddings (
  project_id, fhir_resource_type, fhir_resource_id, version_id, patient_id, model_version, content_hash,
  resource_updated_at, created_at, chunk_index, chunk_count, content_type, content_section, content_text, embedding
)
SELECT
  s.project_id, s.fhir_resource_type, s.fhir_resource_id, s.version_id, s.patient_id, $1, made.content_hash,
  s.resource_updated_at, s.created_at, s.chunk_index, s.chunk_count, s.content_type, s.content_section,
  s.content_text, made.embedding
FROM unnest($2::uuid[], $3::halfvec[], $4::text[]) AS made (id, embedding, content_hash)
JOIN public.source_embeddings s ON s.id = made.id
ON CONFLICT (project_id, fhir_resource_type, fhir_resource_id, model_version, chunk_index) DO UPDATE SET
  version_id = excluded.version_id,
  patient_id = excluded.patient_id,
  content_type = excluded.content_type,
  content_section = excluded.content_section,
  chunk_count = excluded.chunk_count,
  content_text = excluded.content_text,
  content_hash = excluded.content_hash,
  embedding = excluded.embedding,
  resource_updated_at = excluded.resource_updated_at,
  created_at = excluded.created_at
