-- Lets the rows of resources whose text has not changed stand for their new versions, and tells which
-- texts need vectors. The caller holds the resources' locks. By the rules of `resource_state`.
-- $1 project id, $2 resource type, $3 model version; then one element a resource:
-- $4 resource ids, $5 version ids, $6 when each version was made, $7 patient ids or nulls, $8 content hashes
-- standing: outdated (nothing may be written), unchanged (done), different
WITH given AS MATERIALIZED (
  SELECT * FROM unnest($4::uuid[], $5::text[], $6::timestamptz[], $7::uuid[], $8::text[])
    AS given (id, version_id, updated_at, patient_id, content_hash)
), judged AS MATERIALIZED (
  SELECT given.*, CASE
    WHEN found.updated_at > given.updated_at OR t.deleted_at > given.updated_at THEN 'outdated'
    WHEN found.content_hash = given.content_hash THEN 'unchanged'
    ELSE 'different'
  END AS standing
  FROM given
  CROSS JOIN LATERAL (
    SELECT
      max(e.resource_updated_at) AS updated_at,
      CASE WHEN count(*) = max(e.chunk_count) AND min(e.content_hash) = max(e.content_hash)
        THEN min(e.content_hash) END AS content_hash
    FROM public.clinical_embeddings e
    WHERE e.project_id = $1::uuid AND e.fhir_resource_type = $2 AND e.fhir_resource_id = given.id
      AND e.model_version = $3
  ) AS found
  LEFT JOIN public.clinical_embedding_tombstones t
    ON t.project_id = $1::uuid AND t.fhir_resource_type = $2 AND t.fhir_resource_id = given.id
), refreshed AS (
  UPDATE public.clinical_embeddings e
  SET version_id = judged.version_id, resource_updated_at = judged.updated_at, patient_id = judged.patient_id
  FROM judged
  WHERE judged.standing = 'unchanged'
    AND e.project_id = $1::uuid AND e.fhir_resource_type = $2 AND e.fhir_resource_id = judged.id
    AND e.model_version = $3
    AND (e.version_id, e.resource_updated_at, e.patient_id)
      IS DISTINCT FROM (judged.version_id, judged.updated_at, judged.patient_id)
), cleared AS (
  DELETE FROM public.clinical_embedding_tombstones t USING judged
  WHERE judged.standing = 'unchanged'
    AND t.project_id = $1::uuid AND t.fhir_resource_type = $2 AND t.fhir_resource_id = judged.id
)
SELECT id::text, standing FROM judged
