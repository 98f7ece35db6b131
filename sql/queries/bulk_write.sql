-- Makes the rows of many resources those of the versions in medbots_batch, each resource's all or none.
-- The caller holds the resources' locks. By the rules of `resource_state`.
-- $1 project id, $2 resource type, $3 model version
WITH given AS MATERIALIZED (
  SELECT fhir_resource_id AS id, max(resource_updated_at) AS updated_at, max(chunk_count) AS chunks
  FROM medbots_batch GROUP BY fhir_resource_id
), current AS MATERIALIZED (
  SELECT given.* FROM given
  WHERE NOT EXISTS (
    SELECT FROM public.clinical_embeddings e
    WHERE e.project_id = $1::uuid AND e.fhir_resource_type = $2 AND e.fhir_resource_id = given.id
      AND e.model_version = $3 AND e.resource_updated_at > given.updated_at
  ) AND NOT EXISTS (
    SELECT FROM public.clinical_embedding_tombstones t
    WHERE t.project_id = $1::uuid AND t.fhir_resource_type = $2 AND t.fhir_resource_id = given.id
      AND t.deleted_at > given.updated_at
  )
), surplus AS (
  DELETE FROM public.clinical_embeddings e USING current
  WHERE e.project_id = $1::uuid AND e.fhir_resource_type = $2 AND e.fhir_resource_id = current.id
    AND e.model_version = $3 AND e.chunk_index >= current.chunks
), cleared AS (
  DELETE FROM public.clinical_embedding_tombstones t USING current
  WHERE t.project_id = $1::uuid AND t.fhir_resource_type = $2 AND t.fhir_resource_id = current.id
)
INSERT INTO public.clinical_embeddings AS e (
  project_id, fhir_resource_type, fhir_resource_id, version_id, patient_id, model_version, content_hash,
  resource_updated_at, chunk_index, chunk_count, content_type, content_section, content_text, embedding
)
SELECT
  $1::uuid, $2, b.fhir_resource_id, b.version_id, b.patient_id, $3, b.content_hash,
  b.resource_updated_at, b.chunk_index, b.chunk_count, b.content_type, b.content_section, b.content_text, b.embedding
FROM medbots_batch b JOIN current ON current.id = b.fhir_resource_id
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
