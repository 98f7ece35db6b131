-- Writes every chunk of one version of a resource.
-- $1 project id, $2 resource type, $3 resource id, $4 version id, $5 patient id or null, $6 model version,
-- $7 content hash, $8 when this version was made; then one element a chunk, in order:
-- $9 content types, $10 sections, $11 texts, $12 vectors (binary form of vector[])
INSERT INTO public.clinical_embeddings (
  project_id, fhir_resource_type, fhir_resource_id, version_id, patient_id, model_version, content_hash,
  resource_updated_at, chunk_index, chunk_count, content_type, content_section, content_text, embedding
)
SELECT
  $1::uuid, $2, $3::uuid, $4, $5::uuid, $6, $7, $8::timestamptz,
  chunk.ordinality::int - 1, cardinality($11::text[]), chunk.content_type, chunk.section, chunk.body,
  chunk.vector::halfvec
FROM unnest($9::text[], $10::text[], $11::text[], $12::vector[])
  WITH ORDINALITY AS chunk (content_type, section, body, vector, ordinality)
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
  created_at = now()
